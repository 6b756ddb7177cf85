"""What Celery's Django fix-up does in a worker before the tasks: it runs the system checks, which import more modules.

The checks import the URLconf and the template tag libraries, and so modules of tasks that nothing else imports. The
commands need the same tasks. They do not need the messages of the checks, and skip the checks if possible to save time.
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
from django.template.backends.django import get_installed_libraries
from django.urls import get_resolver

from tasktools import celery_compat, conf, render
from tasktools.discovery.celery_app import Found, described
from tasktools.exceptions import ProjectError, project_code

if TYPE_CHECKING:
    from celery import Celery

#: The fix-up runs no checks if this variable is set.
_SKIP_CHECKS = "CELERY_SKIP_CHECKS"

#: The apps whose `load_rest` was called.
_complete: weakref.WeakSet[Any] = weakref.WeakSet()


def load_rest(found: Found) -> list[ProjectError]:
    """Import what a worker imports in addition to the task modules; return an error if that fails.

    Celery's Django fix-up runs the system checks first and drops what they report. They import the URLconf and the
    template tag libraries, and so modules of tasks that nothing else imports. On a large site this takes a second.
    A check that raises ends Celery's own worker; here it is an error to report.
    """
    if is_complete(found):
        return []
    _complete.add(found.app)  # first, because the checks ask whether it was
    try:
        with project_code(checks_broken):
            run_checks()
    except ProjectError as error:
        return [error]
    return []


def load_urlconf(found: Found) -> list[ProjectError]:
    """Import what the checks of Django import for `load_rest`, without running any; return an error if that fails.

    The checks of tasktools use it: they run inside a run of the checks, or without those of other tags.
    """
    if is_complete(found):
        return []
    try:
        with project_code(_urlconf_broken):
            get_installed_libraries()
            if conf.has_urlconf():
                get_resolver().url_patterns  # noqa: B018 - imports them
    except ProjectError as error:
        return [error]
    return []


def _urlconf_broken(error: BaseException) -> ProjectError:
    sentence = f"The URLconf and the template tag libraries cannot be imported: {render.ended(described(error))}"
    return ProjectError(sentence, hint="manage.py check --traceback shows where")


def is_complete(found: Found) -> bool:
    """Whether `load_rest` has nothing to do: it was called before, or a worker of the app runs no checks."""
    return found.app in _complete or checks_skipped() or not _has_fixup(found.app)


def checks_skipped() -> bool:
    """Whether the environment tells Celery not to run Django's checks."""
    return bool(os.environ.get(_SKIP_CHECKS))


class ChecksBroken(ProjectError):
    """A system check raises an exception."""


def checks_broken(error: BaseException) -> ProjectError:
    problem = ChecksBroken(
        f"The system checks cannot be run: {render.ended(described(error))}",
        hint="manage.py check shows where; runworker --skip-checks starts all the same",
    )
    problem.__cause__ = error
    return problem


def skip_checks_once(app: Celery) -> None:
    """Make Celery's Django fix-up skip the checks when it next imports the tasks of `app`: they have already run.

    The variable is removed afterwards: processes of a pool that is not forked, and processes of tasks, do not see it.
    """
    if checks_skipped():
        return
    _skipping.begin()

    def imported(**_: Any) -> None:
        if signals.import_modules.disconnect(sender=app, dispatch_uid=uid):
            _skipping.end()

    uid = "tasktools.skip_checks_once"
    # This is the last receiver: the fix-up was connected when the app was made.
    signals.import_modules.connect(imported, sender=app, weak=False, dispatch_uid=uid)


def _has_fixup(app: Celery) -> bool:
    from celery.fixups.django import DjangoFixup

    return any(isinstance(each, DjangoFixup) for each in celery_compat.FIXUPS.get(app) or ())


@contextlib.contextmanager
def without_checks() -> Iterator[None]:
    """Set the variable that makes Celery's Django fix-up skip the system checks, which it runs before it imports tasks."""
    _skipping.begin()
    try:
        yield
    finally:
        _skipping.end()


class _Skipping:
    """Sets the environment variable as long as anybody needs it: several threads, or an import inside another import."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._before: str | None = None

    def begin(self) -> None:
        with self._lock:
            if not self._wanted:
                self._before = os.environ.get(_SKIP_CHECKS)
                os.environ[_SKIP_CHECKS] = "1"
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
