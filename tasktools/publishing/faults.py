"""Errors of the project's code and settings that a call meets when it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools.brokers import result_backend
from tasktools.brokers.reach import came_through, reason_at_end
from tasktools.exceptions import ProjectError, TasktoolsError

if TYPE_CHECKING:
    from celery import Celery


def unsent(task: str, error: BaseException, *, app: Celery | None = None, consequence: str = "") -> ProjectError:
    """Return the error for a call of `app` that was not sent because of code or settings of the project."""
    flaw = result_backend.flaw(app) if app is not None and came_through(error, "celery.app.base") else None
    if flaw is not None:  # a call looks at the backend if its result is to be kept
        return ProjectError(f"{flaw.sentence}{consequence}", hint=flaw.hint)
    sentence = f"{task} could not be sent: {type(error).__name__}: {reason_at_end(error)}{consequence}"
    return ProjectError(sentence, hint="the same command with --traceback shows where")


def sent_all_the_same(task: str, error: BaseException) -> TasktoolsError:
    """Return the error for a call that was sent, but code of the project failed afterwards."""
    sentence = f"{task} was sent, and code of the project failed then: {type(error).__name__}: {reason_at_end(error)}"
    return TasktoolsError(sentence, hint="the same command with --traceback shows where")
