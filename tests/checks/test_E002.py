from __future__ import annotations

from django.core.checks import Error, run_checks

from tasktools import checks
from tasktools.exceptions import AppError, ConfigurationError, ProjectError
from tasktools.project import Project


def test_E002__fires_where_the_setting_leads_to_no_app(project: Project) -> None:
    problem = AppError('TASKTOOLS_APP names "nosuch".', hint="give TASKTOOLS_APP as module:attribute")
    project.problems = [problem]
    assert run_checks(tags=[checks.TAG]) == [
        Error('TASKTOOLS_APP names "nosuch".', hint="give TASKTOOLS_APP as module:attribute", id="tasktools.E002")
    ]


def test_E002__fires_for_a_setting_that_is_wrong(project: Project) -> None:
    problem = ConfigurationError('TASKTOOLS_LINGER is "26".', hint="set it to at most 25 s")
    project.problems = [problem]
    assert run_checks(tags=[checks.TAG]) == [
        Error('TASKTOOLS_LINGER is "26".', hint="set it to at most 25 s", id="tasktools.E002")
    ]


def test_E002__is_silent_about_a_module_that_cannot_be_imported(project: Project) -> None:
    project.problems = [ProjectError("The module cannot be imported.")]
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W002"]


def test_E002__is_silent_where_the_app_was_found(project: Project) -> None:
    project.problems = []
    assert run_checks(tags=[checks.TAG]) == []
