"""Whether broker and result backend answer, told within a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tasktools import render
from tasktools.brokers import broker_of
from tasktools.brokers.base import Broker
from tasktools.exceptions import TasktoolsError, Unreachable
from tasktools.limits import TimedOut, within, within_thread
from tasktools.masking import hide

T = TypeVar("T")


def check_broker(app: Any, limit: float) -> None:
    """Return when the broker of `app` has answered.

    Raises Unreachable when it has not within `limit` seconds: it refuses, is silent, or cannot be found.
    """
    broker = broker_of(app)
    broker.prepare()
    _reach(within_thread, broker.name, limit, broker.ping, limit)


def connect(broker: Broker, limit: float, *, consequence: str = "") -> Any:
    """Return a kombu Connection to the broker, made in a thread: the look-up of its host name cannot be interrupted.

    Raises Unreachable when there is none within `limit` seconds; `consequence` is put behind the sentence.
    """
    return _reach(within_thread, broker.name, limit, broker.publishing_connection, limit, consequence=consequence)


def reach(subject: str, limit: float, call: Callable[..., T], *args: Any) -> T:
    """Return `call(*args)`, a talk with the server that `subject` names at the beginning of a sentence.

    Raises Unreachable when it fails or takes longer than `limit` seconds.
    """
    found: T = _reach(within, subject, limit, call, *args)
    return found


def _reach(run: Callable[..., Any], subject: str, limit: float, *call: Any, consequence: str = "") -> Any:
    try:
        return run(limit, *call)
    except TimedOut:
        raise Unreachable(f"{subject} does not answer.{consequence}", hint=HINT) from None
    except Exception as error:
        cause = next((each for each in chain(error) if isinstance(each, TasktoolsError)), None)
        if cause is not None:
            raise cause from error
        raise Unreachable(f"{subject} cannot be reached: {reason(error)}.{consequence}", hint=HINT) from error


HINT = "start it, or mend its address in the settings (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def reason(error: BaseException) -> str:
    """Return the text of an exception as one line without secrets, for the inside of a sentence."""
    return hide(" ".join(render.text_of(error).split()) or type(error).__name__).rstrip(".")
