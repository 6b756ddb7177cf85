"""What a failed task's row says, as Celery's exceptions, requests and messages tell it."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery.exceptions import ChordError, MaxRetriesExceededError, Reject
from celery.utils.serialization import UnpickleableExceptionWrapper

from tasktools.models import Kind
from tasktools.render import text_of

#: How deep in a traceback Celery's own code sends the callbacks of a task that has succeeded: below its tracer.
_TRACER = "celery/app/trace.py"
_SENDS_CALLBACKS = ("_dispatch_callbacks_and_chain", "_retry_publish", "apply_async")

#: Why a task is lost that ran when its worker stopped at once.
CUT_OFF = "It was cut off when its worker stopped."


def unwrapped(exc: Any) -> Any:
    """Return the exception of a task; a pool's process sends it wrapped."""
    return exc.exc if isinstance(exc, ExceptionWithTraceback) else exc


def kind_of(exc: Any, einfo: Any, headers: Mapping[str, Any], task: Any) -> Kind:
    """Return how a task failed that has raised an exception."""
    if isinstance(exc, ChordError):
        return Kind.CHORD
    if _is_of_callback(einfo):
        return Kind.CALLBACK
    retries, most = count(headers.get("retries")), getattr(task, "max_retries", None)
    if isinstance(exc, MaxRetriesExceededError) or (retries and isinstance(most, int) and retries >= most):
        return Kind.RETRIES
    return Kind.RAISED


def _is_of_callback(einfo: Any) -> bool:
    """Whether Celery itself raised the exception, when it sent what comes after the task."""
    tb: Any = getattr(einfo, "tb", None)
    code = getattr(getattr(tb, "tb_frame", None), "f_code", None)
    if code is None or not code.co_filename.endswith(_TRACER) or tb.tb_next is None:
        return False
    below = tb.tb_next.tb_frame.f_code
    return below.co_name in _SENDS_CALLBACKS and "celery/" in below.co_filename


def name_of(exc: Any) -> str:
    """Return the name of the exception's class with its module, also of one that could not be pickled."""
    if exc is None:
        return ""
    if isinstance(exc, UnpickleableExceptionWrapper):
        return f"{exc.exc_module}.{exc.exc_cls_name}"
    return name_of_class(type(exc))


def name_of_class(kind: type) -> str:
    """Return the name of a class with its module."""
    return f"{kind.__module__}.{kind.__qualname__}"


def reason_of(exc: Any) -> str:
    """Return what an exception says, in words where those of its class are none."""
    if exc is None:
        return ""
    if isinstance(exc, TimeLimitExceeded):
        return f"It exceeded its time limit{_seconds(exc)}, and its process was killed."
    if isinstance(exc, SoftTimeLimitExceeded):
        return f"It exceeded its soft time limit{_seconds(exc)}."
    if isinstance(exc, WorkerLostError) and "SIGKILL" in text_of(exc):
        return f"{text_of(exc)} The system ends processes so when the memory is used up."
    said = exc
    if isinstance(exc, Reject):
        said = getattr(exc, "reason", None) or exc
    elif isinstance(exc, UnpickleableExceptionWrapper) and exc.exc_args and len(exc.exc_args) == 1:
        said = exc.exc_args[0]
    return text_of(said)


def _seconds(exc: Any) -> str:
    limit = exc.args[0] if exc.args else None
    return f" of {limit:g} s" if isinstance(limit, (int, float)) else ""


def traceback_of(exc: Any, einfo: Any) -> str:
    """Return the text of a traceback: frames and lines, no values. "" for one of the pool's own frames alone."""
    if isinstance(exc, (TimeLimitExceeded, WorkerLostError)):
        return ""
    text = text_of(getattr(einfo, "traceback", None) or "")
    if isinstance(exc, UnpickleableExceptionWrapper):
        text = text.replace(f"{name_of_class(type(exc))}: ", f"{name_of(exc)}: ")
    return text


def terminated_by(signum: Any) -> str:
    """Return why a task was terminated; `signum` is a number, or a text of the pool's."""
    try:
        return f"It was terminated by revoke, with {signal.Signals(signum).name}."
    except ValueError:
        return "It was terminated by revoke."


def count(value: Any) -> int:
    """Return a number that a message claims; 0 for what is none."""
    return value if isinstance(value, int) and value > 0 else 0


def identity(message: Any) -> tuple[str, str]:
    """Return the id and the name of a message's task, "" for what it does not tell. Protocol 1 has them in the body."""
    for told in (message.headers or {}, _payload(message)):
        if isinstance(told, Mapping) and told.get("task"):
            return str(told.get("id") or ""), str(told["task"])
    return str((message.properties or {}).get("correlation_id") or ""), ""


def _payload(message: Any) -> Any:
    try:
        return message.payload
    except Exception:  # noqa: BLE001 - it cannot be decoded
        return None


def queue_of(message: Any, queues: Iterable[Any]) -> str:
    """Return the queue of those of a worker that a message came from: the message names an exchange and a routing key."""
    told = message.delivery_info or {}
    exchange, key = str(told.get("exchange") or ""), str(told.get("routing_key") or "")
    if key and not exchange:  # the default exchange: the key is the queue's name, also of one that was cancelled
        return key
    queues = list(queues)
    named = {each.name for each in queues}
    bound = {each.name for each in queues if each.exchange.name == exchange and each.routing_key == key}
    if len(bound) == 1:
        return str(bound.pop())
    if key in named or not named:
        return key
    return str(named.pop()) if len(named) == 1 else key
