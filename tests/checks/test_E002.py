from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import Error, run_checks

from tasktools import checks
from tasktools.exceptions import AppError, ConfigurationError, ProjectError
from tasktools.project import Project

RANGE = 'set it to a duration from "500ms" to "1h", or leave it out'


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


@pytest.mark.parametrize(
    ("value", "sentence", "hint"),
    [
        ("soon", 'TASKTOOLS_BEAT_LEASE: "soon" is no duration.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        (
            0.4,
            'TASKTOOLS_BEAT_LEASE is "0.4", which is too short.',
            'set it to a duration from "500ms" to "1h", or leave it out',
        ),
        (timedelta(hours=2), 'TASKTOOLS_BEAT_LEASE is "2:00:00", which is too long.', RANGE),
    ],
)
def test_E002__fires_for_a_lease_that_is_wrong(
    project: Project, settings: Any, value: Any, sentence: str, hint: str
) -> None:
    settings.TASKTOOLS_BEAT_LEASE = value
    assert run_checks(tags=[checks.TAG]) == [Error(sentence, hint=hint, id="tasktools.E002")]


@pytest.mark.parametrize("value", [0.5, "10s", "1h", timedelta(seconds=10)])
def test_E002__is_silent_about_a_lease_that_is_right(project: Project, settings: Any, value: Any) -> None:
    settings.TASKTOOLS_BEAT_LEASE = value
    assert run_checks(tags=[checks.TAG]) == []


def test_E002__is_silent_about_a_module_that_cannot_be_imported(project: Project) -> None:
    project.problems = [ProjectError("The module cannot be imported.")]
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W002"]


def test_E002__is_silent_where_the_app_was_found(project: Project) -> None:
    project.problems = []
    assert run_checks(tags=[checks.TAG]) == []
