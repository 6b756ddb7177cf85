"""Errors of the project's code and settings that a call meets when it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools.brokers.reach import reason_at_end
from tasktools.brokers.result_backend import came_from_making, unmade
from tasktools.exceptions import ConfigurationError, ProjectError, TasktoolsError

if TYPE_CHECKING:
    from celery import Celery


def unsent(task: str, error: BaseException, *, app: Celery | None = None, consequence: str = "") -> TasktoolsError:
    """Return the error for a call of `app` that was not sent because of code or settings of the project.

    It is Unreachable for a result backend whose server cannot be reached, and a ProjectError for everything else.
    """
    if app is not None and came_from_making(error):  # a call looks at the backend if its result is to be kept
        flaw = unmade(app, error, consequence=consequence)
        return ProjectError(flaw.sentence, hint=flaw.hint) if isinstance(flaw, ConfigurationError) else flaw
    sentence = f"{task} could not be sent: {type(error).__name__}: {reason_at_end(error)}{consequence}"
    return ProjectError(sentence, hint="the same command with --traceback shows where")


def sent_all_the_same(task: str, error: BaseException) -> TasktoolsError:
    """Return the error for a call that was sent, but code of the project failed afterwards."""
    sentence = f"{task} was sent, and code of the project failed then: {type(error).__name__}: {reason_at_end(error)}"
    return TasktoolsError(sentence, hint="the same command with --traceback shows where")
