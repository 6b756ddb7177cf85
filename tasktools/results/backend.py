"""Ask the result backend for a task."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tasktools.brokers.masking import masked
from tasktools.brokers.reach import reach, reason
from tasktools.brokers.result_backend import backend_of
from tasktools.brokers.timeouts import TimedOut
from tasktools.exceptions import ConfigurationError, TasktoolsError
from tasktools.results.outcome import UNREADABLE, Failure, Outcome, outcome_of

if TYPE_CHECKING:
    from celery import Celery

#: The hint that leads to results that every process can read.
SET_BACKEND = 'set CELERY_RESULT_BACKEND, as in CELERY_RESULT_BACKEND = "redis://localhost:6379/1"'

#: How long one look at the result backend may take, in seconds.
LOOK_LIMIT = 4.5


def check_backend(app: Celery) -> None:
    """Raise ConfigurationError when no result backend is configured, or it cannot be used."""
    from celery.backends.base import DisabledBackend

    if isinstance(backend_of(app), DisabledBackend):
        raise ConfigurationError(
            "No result backend is configured, so results are not kept.",
            hint=SET_BACKEND,
        )


def lost_results(backend: Any) -> str:
    """Return a sentence if no other process can read the results that a backend keeps, "" if others can."""
    is_celerys = type(backend).__module__ == "celery.backends.cache"  # which is not imported for others
    if is_celerys and getattr(backend, "backend", "") == "memory":
        return f"Results of cache+memory:// {_STAY}"
    with contextlib.suppress(Exception):  # a cache that cannot be used is reported by whoever uses it
        return _lost_in_cache(backend)
    return ""


_STAY = "stay in the process that ran the task: no other can read them."


def _lost_in_cache(backend: Any) -> str:
    # django-celery-results has a cache of Django, and the default one is a proxy.
    add = getattr(getattr(backend, "cache_backend", None), "add", None)
    cache = type(getattr(add, "__self__", None))
    if cache.__module__ == "django.core.cache.backends.dummy":
        return f"The cache {cache.__name__} keeps no results."
    if cache.__module__ == "django.core.cache.backends.locmem":
        return f"Results of the cache {cache.__name__} {_STAY}"
    return ""


def look(app: Celery, task_id: str) -> Outcome:
    """Return what the result backend knows about a task now; UNREADABLE if it answers but the answer cannot be read.

    Raises Unreachable when the backend does not answer.
    """
    return reach(backend_name(app), LOOK_LIMIT, _look, app, task_id)


def _look(app: Celery, task_id: str) -> Outcome:
    """Look for a result. If it fails again although the backend answers for another id, the result itself is unreadable."""
    try:
        return outcome_of(task_id, app.backend.get_task_meta(task_id))
    except (TimedOut, TasktoolsError, KeyboardInterrupt):
        raise
    except BaseException:  # code of the project makes its exceptions again
        if not _answers(app):
            raise
    try:
        return outcome_of(task_id, app.backend.get_task_meta(task_id))
    except (TimedOut, TasktoolsError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001
        why = Failure(type=type(error).__name__, message=reason(error))
        return Outcome(id=task_id, state=UNREADABLE, error=why)


def _answers(app: Celery) -> bool:
    """Whether the backend can answer for some other id (that it does not know it)."""
    try:
        app.backend.get_task_meta(str(uuid4()))
    except TimedOut:
        raise
    except Exception:  # noqa: BLE001 - each backend has errors of its own
        return False
    return True


def backend_name(app: Celery) -> str:
    """Return the result backend as the beginning of a sentence."""
    try:
        uri = app.backend.as_uri(include_password=False)
    except Exception:  # noqa: BLE001 - it may fail to read its own URL
        uri = app.conf.result_backend
    return f'The result backend "{masked(uri or app.conf.result_backend)}"'
