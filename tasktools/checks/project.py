"""E002, W002, W003, W017, E030: the app can be found, its settings can be read, and the tasks can be imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from tasktools import conf, render, unimportable
from tasktools.discovery import celery_app
from tasktools.exceptions import (
    ConfigurationError,
    JobError,
    ProjectError,
    SeveralAppsError,
    TasktoolsError,
    project_code,
)
from tasktools.project import current_project
from tasktools.registry.routes import RoutingError

#: The ids that this module can give.
IDS = ("tasktools.E002", "tasktools.W002", "tasktools.W003", "tasktools.E030")


def check() -> list[CheckMessage]:
    """Report again what went wrong at start-up. In a part of rundev, rundev reports code that cannot be imported."""
    problems = list(current_project().problems)
    try:
        conf.beat_lease()
    except ConfigurationError as error:
        problems.append(error)
    return messages(problems)


def messages(problems: Iterable[TasktoolsError]) -> list[CheckMessage]:
    """Return the message of each problem, also of those that a check meets as it loads the tasks."""
    return [_message(problem) for problem in problems if not _is_reported(problem)]


def _is_reported(problem: TasktoolsError) -> bool:
    """Whether rundev reports it. What it says, that the project cannot be imported, is not so for a job."""
    return not isinstance(problem, JobError) and unimportable.reported(problem)


def guarded(check: Callable[[], list[CheckMessage]]) -> list[CheckMessage]:
    """Run a check. An error in the project becomes its message: no check of ours may end the command with a traceback."""
    try:
        with project_code(_tripped):
            return check()
    except TasktoolsError as error:
        return [_message(error)]


def _tripped(error: BaseException) -> ProjectError:
    hint = "manage.py showtasks --traceback shows where"
    why = render.ended(celery_app.described(error))
    return ProjectError(f"The Celery app of this project cannot be checked: {why}", hint=hint)


def _message(problem: TasktoolsError) -> CheckMessage:
    """Problems of tasktools' commands alone are warnings: `migrate` and `runserver` must go on. The worker refuses them."""
    if isinstance(problem, ProjectError):
        return CheckWarning(problem.sentence, hint=problem.hint, id="tasktools.W002")
    if isinstance(problem, JobError):
        return CheckWarning(problem.sentence, hint=problem.hint, id="tasktools.W017")
    if isinstance(problem, SeveralAppsError):
        return CheckWarning(problem.sentence, hint=problem.hint, id="tasktools.W003")
    if isinstance(problem, RoutingError):
        return Error(problem.sentence, hint=problem.hint, id="tasktools.E030")
    return Error(problem.sentence, hint=problem.hint, id="tasktools.E002")
