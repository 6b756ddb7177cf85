from __future__ import annotations

from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.exceptions import AppError, SeveralAppsError
from tasktools.project import Project


def test_W003__fires_for_several_apps_and_lets_migrate_run(project: Project) -> None:
    problem = SeveralAppsError("This project has 2 Celery apps: a:app, b:app.", hint="choose one with -A")
    project.problems = [problem]
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning("This project has 2 Celery apps: a:app, b:app.", hint="choose one with -A", id="tasktools.W003")
    ]


def test_W003__is_silent_about_a_setting_that_leads_nowhere(project: Project) -> None:
    project.problems = [AppError("TASKTOOLS_APP names nothing.")]
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.E002"]
