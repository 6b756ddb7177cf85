"""What Celery's Django fix-up does in a worker ahead of the tasks: it runs the system checks, and so imports further modules.

They import the URLconf and the template tag libraries, and with these the modules of tasks that nothing else imports. The
commands need the same tasks, but not what the checks say, nor the time that they take where it can be spared.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from celery import signals
from django.core.checks import run_checks

from tasktools import celery_compat
from tasktools.discovery.celery_app import Found, described
from tasktools.exceptions import ProjectError, project_code

if TYPE_CHECKING:
    from celery import Celery

#: The fix-up runs no checks where this is set.
_SKIP_CHECKS = "CELERY_SKIP_CHECKS"

#: The apps whose `load_rest` was called.
_complete: weakref.WeakSet[Any] = weakref.WeakSet()


def load_rest(found: Found) -> list[ProjectError]:
    """Import what a worker imports besides the task modules; return an error if that fails.

    Celery's Django fix-up runs the system checks first and drops what they report. They import the URLconf and the
    template tag libraries, and so modules of tasks that nothing else imports. On a large site this takes a second.
    A check that raises ends Celery's own worker; here it is an error to report.
    """
    if is_complete(found):
        return []
    _complete.add(found.app)  # first: the check of the schedule asks for the rest itself
    try:
        with project_code(checks_broken):
            run_checks()
    except ProjectError as error:
        return [error]
    return []


def is_complete(found: Found) -> bool:
    """Whether `load_rest` has nothing to do: it was called, or a worker of the app runs no checks either."""
    return found.app in _complete or checks_skipped() or not _has_fixup(found.app)


def checks_skipped() -> bool:
    """Whether Celery is set not to run Django's checks."""
    return bool(os.environ.get(_SKIP_CHECKS))


def checks_broken(error: BaseException) -> ProjectError:
    problem = ProjectError(
        f"The system checks cannot be run: {described(error)}.",
        hint="manage.py check shows where; runworker --skip-checks starts all the same",
    )
    problem.__cause__ = error
    return problem


def skip_checks_once(app: Celery) -> None:
    """Have Celery's Django fix-up leave out the checks when it imports the tasks of `app` next: they have been run.

    The variable is gone afterwards. The processes of a pool that is not forked, and what a task starts, do not see it.
    """
    if checks_skipped():
        return
    _skipping.begin()

    def imported(**_: Any) -> None:
        if signals.import_modules.disconnect(sender=app, dispatch_uid=uid):
            _skipping.end()

    uid = "tasktools.skip_checks_once"
    # The last receiver: the fix-up was connected when the app was made.
    signals.import_modules.connect(imported, sender=app, weak=False, dispatch_uid=uid)


def _has_fixup(app: Celery) -> bool:
    from celery.fixups.django import DjangoFixup

    return any(isinstance(each, DjangoFixup) for each in celery_compat.FIXUPS.get(app) or ())


@contextlib.contextmanager
def without_checks() -> Iterator[None]:
    """Celery's Django fix-up runs all system checks before it imports tasks, unless its variable is set."""
    _skipping.begin()
    try:
        yield
    finally:
        _skipping.end()


class _Skipping:
    """The variable of the environment, set as long as somebody wants it: threads, and one import within another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._before: str | None = None

    def begin(self) -> None:
        with self._lock:
            if not self._wanted:
                self._before = os.environ.get(_SKIP_CHECKS)
                os.environ[_SKIP_CHECKS] = self._before or "1"
            self._wanted += 1

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if self._wanted:
                return
            if self._before is None:
                os.environ.pop(_SKIP_CHECKS, None)
            else:
                os.environ[_SKIP_CHECKS] = self._before


_skipping = _Skipping()
