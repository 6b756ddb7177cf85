"""Errors of the project's code and settings that a call meets when it is sent."""

from __future__ import annotations

from tasktools.brokers.reach import reason_at_end
from tasktools.exceptions import ProjectError, TasktoolsError


def unsent(task: str, error: BaseException, *, consequence: str = "") -> ProjectError:
    """Return the error for a call that was not sent because of code or settings of the project."""
    sentence = f"{task} could not be sent: {type(error).__name__}: {reason_at_end(error)}{consequence}"
    return ProjectError(sentence, hint="the same command with --traceback shows where")


def sent_all_the_same(task: str, error: BaseException) -> TasktoolsError:
    """Return the error for a call that was sent, but code of the project failed afterwards."""
    sentence = f"{task} was sent, and code of the project failed then: {type(error).__name__}: {reason_at_end(error)}"
    return TasktoolsError(sentence, hint="the same command with --traceback shows where")
