"""E002, W002, W003: the app can be found, and the tasks can be imported."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from tasktools import startup
from tasktools.exceptions import ProjectError, SeveralAppsError, TasktoolsError


def check(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Say again what went wrong at start-up."""
    return [_message(problem) for problem in startup.problems]


def _message(problem: TasktoolsError) -> CheckMessage:
    """What concerns the commands of tasktools alone is a warning: `migrate` and `runserver` must go on. The worker refuses it."""
    if isinstance(problem, ProjectError):
        return CheckWarning(problem.sentence, hint=problem.hint, id="tasktools.W002")
    if isinstance(problem, SeveralAppsError):
        return CheckWarning(problem.sentence, hint=problem.hint, id="tasktools.W003")
    return Error(problem.sentence, hint=problem.hint, id="tasktools.E002")
