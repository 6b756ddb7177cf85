"""The result backend of an app, or why Celery cannot make it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasktools.brokers.masking import masked
from tasktools.brokers.reach import reason_at_end
from tasktools.brokers.urls import port_hint
from tasktools.environment.shadowing import explained
from tasktools.exceptions import ConfigurationError, TasktoolsError

if TYPE_CHECKING:
    from celery import Celery


def backend_of(app: Celery) -> Any:
    """Return the result backend, which is made at its first use.

    Raises ConfigurationError if it cannot be made: it is of no known kind, its library is missing, or its URL is wrong.
    """
    try:
        return app.backend
    except Exception as error:
        url = app.conf.result_backend
        raise explained(error) or ConfigurationError(
            f'The result backend "{masked(url)}" cannot be used: {reason_at_end(error)}',
            hint=port_hint(url, error) or "fix CELERY_RESULT_BACKEND, or install its library",
        ) from error


def flaw(app: Celery) -> TasktoolsError | None:
    """Return the error of a result backend that cannot be made, None if it can."""
    try:
        backend_of(app)
    except TasktoolsError as error:
        return error
    return None


def require_for(app: Celery, command: str) -> None:
    """Raise ConfigurationError if a "worker" or "beat" would end with the traceback of a backend that cannot be made.

    Celery's schedulers look at the backend if results expire (celery.beat.Scheduler.install_default_entries).
    """
    if command == "worker" or app.conf.result_expires:
        backend_of(app)
