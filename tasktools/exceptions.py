"""The errors of tasktools, and the exit code with which each ends a command.

    TasktoolsError                1
    ├── UsageError                2   what was typed, or what the settings say, cannot work; nothing was done
    │   ├── TaskNameError             no task, or more than one, has that name
    │   ├── ArgumentError             the words do not fit the task's signature
    │   ├── AppError                  no Celery app
    │   │   └── SeveralAppsError      more than one, and none is the best
    │   ├── ProjectError              a module of the project cannot be imported
    │   ├── JobError                  a job of django-extensions cannot be a task
    │   └── ConfigurationError        a setting is missing or wrong
    ├── TaskFailed                1   the task ran and failed, or was revoked
    ├── Declined                  1   the task's own apply_async has sent nothing
    ├── Unreadable                1   there is a result, and it cannot be read
    ├── NotFinished               3   the task did not finish in time
    ├── NoTrace                   4   nothing is known of what was asked for
    ├── OutputError               74  a file or a stream could not be written
    ├── HeldElsewhere             75  another process is in charge
    └── Unreachable               69  broker, result backend or worker did not answer
        ├── InDoubt                   it broke off: whether the last calls were sent cannot be known
        └── PrivateServerError        the private Valkey cannot be started

Each has one sentence and, if possible, a hint: the command or the setting that fixes it.
69 is EX_UNAVAILABLE of sysexits.h, 74 its EX_IOERR, 75 its EX_TEMPFAIL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


class TasktoolsError(Exception):
    """Base of all errors; `exit_code` is what a command ends with."""

    exit_code = 1

    def __init__(self, sentence: str, *, hint: str = "", more: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        #: Further sentences, each printed on its own line.
        self.more = tuple(more)


class UsageError(TasktoolsError):
    exit_code = 2


class TaskNameError(UsageError):
    """No task, or more than one, has the name."""

    #: What was typed, if no task is called so.
    typed = ""


class ArgumentError(UsageError):
    pass


class AppError(UsageError):
    pass


class SeveralAppsError(AppError):
    pass


class ProjectError(UsageError):
    pass


class JobError(UsageError):
    """A job of django-extensions cannot be a task. Everything else goes on."""

    def __init__(self, sentence: str, *, hint: str = "", job: str = "") -> None:
        super().__init__(sentence, hint=hint)
        #: The dotted name of its module.
        self.job = job


class ConfigurationError(UsageError):
    pass


class TaskFailed(TasktoolsError):
    exit_code = 1


class Declined(TasktoolsError):
    exit_code = 1


class Unreadable(TasktoolsError):
    exit_code = 1


class NotFinished(TasktoolsError):
    exit_code = 3


class NoTrace(TasktoolsError):
    exit_code = 4


class OutputError(TasktoolsError):
    exit_code = 74


class HeldElsewhere(TasktoolsError):
    exit_code = 75


class Unreachable(TasktoolsError):
    exit_code = 69


class InDoubt(Unreachable):
    def __init__(self, sentence: str, *, hint: str = "", calls: int = 0, in_part: bool = False) -> None:
        super().__init__(sentence, hint=hint)
        #: How many calls are in doubt.
        self.calls = calls
        #: Whether it is certain that some calls were sent and others were not; the sentence says which.
        self.in_part = in_part


class PrivateServerError(Unreachable):
    pass


@contextlib.contextmanager
def project_code(blame: Callable[[BaseException], TasktoolsError]) -> Iterator[None]:
    """Run code of the project: whatever it raises becomes the error that `blame` makes of it.

    So do exit() and a cancellation, which are not Exceptions: they must not end a process that only imports a module. A
    TasktoolsError, a KeyboardInterrupt and what the handler of a signal raises are not changed.
    """
    try:
        yield
    except (TasktoolsError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if is_of_signal(error):
            raise
        _reopen_stdin()
        raise blame(error) from error


def tried(call: Callable[[], T], otherwise: Callable[[BaseException], U]) -> T | U:
    """Return the result of the project's code, such as the repr of one of its objects; on an error, return `otherwise(error)`.

    As in `project_code`, exit() is such an error, and a KeyboardInterrupt or the end by a signal is not.
    """
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it is code of the project
        if is_of_signal(error):
            raise
        _reopen_stdin()
        return otherwise(error)


def is_of_signal(error: BaseException) -> bool:
    """Whether the handler of a signal that ends the process has raised this, and not the code that ran at that moment."""
    if isinstance(error, Exception):
        return False
    handlers = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]
    if isinstance(error, KeyboardInterrupt) and signal.default_int_handler in handlers:
        return True
    codes = [code for handler in handlers if (code := getattr(handler, "__code__", None)) is not None]
    return any(frame.f_code in codes for frame, _ in traceback.walk_tb(error.__traceback__))


def _reopen_stdin() -> None:
    """Open stdin again if exit() has closed it: libraries ask whether it is a terminal."""
    if sys.stdin is not None and sys.stdin.closed:
        sys.stdin = open(os.devnull)  # noqa: SIM115 - as long as the process


class TasktoolsWarning(UserWarning):
    """Base of the warnings of what works on a developer's machine and fails in production."""


class ModelArgumentWarning(TasktoolsWarning):
    """A model instance or a queryset is among the arguments of a task."""


class TransactionWarning(TasktoolsWarning):
    """A task is sent inside an open transaction of a database."""


class WaitingWarning(TasktoolsWarning):
    """A task waits for the result of another task."""
