"""The result backend of an app, or why Celery cannot make it."""

from __future__ import annotations

import traceback
from typing import Any

from celery import Celery
from celery.exceptions import ImproperlyConfigured

from tasktools.brokers.masking import masked
from tasktools.brokers.reach import chain, is_misuse, reason_at_end, silence, unreachable
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.brokers.urls import port_hint
from tasktools.environment.shadowing import explained
from tasktools.exceptions import ConfigurationError, TasktoolsError

#: How long the making of a backend may take, in seconds: that of a database connects, creates its tables, and tries again for
#: about ten seconds if that fails.
LIMIT = 15.0


def backend_of(app: Celery) -> Any:
    """Return the result backend, which is made at its first use.

    Raises ConfigurationError if it cannot be made: it is of no known kind, its library is missing, or its URL is wrong. Raises
    Unreachable if its server cannot be reached, or does not answer in time.
    """
    try:
        within_thread(LIMIT, getattr, app, "backend")
        return app.backend  # most backends are made again in each thread
    except TimedOut:
        raise silence(_subject(app)) from None
    except Exception as error:
        raise unmade(app, error) from error


def unmade(app: Celery, error: BaseException, *, consequence: str = "") -> TasktoolsError:
    """Return the error for what the making of the backend has raised; `consequence` is added to the sentence."""
    told = explained(error)
    if told is not None:
        return type(told)(f"{told.sentence}{consequence}", hint=told.hint)
    if _is_of_server(error):
        return unreachable(_subject(app), error, consequence=consequence)
    sentence = f"{_subject(app)} cannot be used: {reason_at_end(error)}{consequence}"
    hint = port_hint(app.conf.result_backend, error) or "fix CELERY_RESULT_BACKEND, or install its library"
    return ConfigurationError(sentence, hint=hint)


def came_from_making(error: BaseException) -> bool:
    """Whether an exception, or one that led to it, was raised while a result backend was made."""
    code = vars(Celery)["backend"].fget.__code__  # public, unlike what it calls
    return any(frame.f_code is code for each in chain(error) for frame, _ in traceback.walk_tb(each.__traceback__))


def _subject(app: Celery) -> str:
    return f'The result backend "{masked(app.conf.result_backend)}"'


def _is_of_server(error: BaseException) -> bool:
    """Whether the server, or the way to it, has failed, and not the settings: it may be back in a moment."""
    if isinstance(error, (ImproperlyConfigured, ImportError)) or is_misuse(error):
        return False
    kinds = [kind for each in chain(error) for kind in type(each).__mro__]
    return OSError in kinds or any((kind.__module__, kind.__name__) in _OF_SERVER for kind in kinds)


#: What SQLAlchemy raises for a database that cannot be reached. This module does not import it.
_OF_SERVER = {("sqlalchemy.exc", "OperationalError"), ("sqlalchemy.exc", "InterfaceError")}
