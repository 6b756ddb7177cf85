"""The options of `apply_async`: their names, and what each takes. Celery accepts any other option, but most do nothing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from dateutil.parser import isoparse
from kombu import Queue, compression

from tasktools.celery_compat import ENCODERS, TRANSPORT_ALIASES

if TYPE_CHECKING:
    from celery import Celery

_REDIS = "kombu.transport.redis:Transport"


class Option(NamedTuple):
    """What an option takes."""

    form: str = ""
    #: Whether the option takes a value; None if it takes any value.
    takes: Callable[[Any], bool] | None = None


def options_of(app: Celery) -> Mapping[str, Option]:
    """Return the options that a message of `app` can have: AMQP carries fewer values than kombu's own formats do."""
    return {**OPTIONS, **_AMQP} if _speaks_amqp(app) else OPTIONS


def option_fault(name: str, value: Any, options: Mapping[str, Option]) -> str:
    """Return what is wrong with the value of an option, "" if nothing: no message can be made, or no worker can read it."""
    if name in ("args", "kwargs", "producer"):
        return "no option: apply_async gets it already"
    option = options.get(name)
    if option is None or option.takes is None or value is None:
        return ""
    return "" if option.takes(value) else f"not {option.form}"


def is_ignored(name: str, value: Any) -> bool:
    """Whether the message ignores the value: except on AMQP, kombu uses int() of a priority, or its default."""
    if name == "priority" and value is not None:
        try:
            int(value)
        except (TypeError, ValueError, OverflowError):
            return True
    return False


def _speaks_amqp(app: Celery) -> bool:
    with contextlib.suppress(Exception):  # a broker that cannot be used is reported elsewhere
        scheme = str(app.conf.broker_write_url).partition("://")[0].partition("+")[0]
        if not app.conf.broker_transport and TRANSPORT_ALIASES.here().get(scheme) == _REDIS:
            return False  # without the import of its library
        return bool(app.connection_for_write().get_transport_cls().driver_type == "amqp")
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _is_span(value: Any) -> bool:
    """Whether a value is a number of seconds that leads from now to a time of the calendar."""
    try:
        return _is_number(value) and bool(datetime.now(timezone.utc) + timedelta(seconds=value))
    except OverflowError:
        return False


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, date) or bool(isoparse(value))
    except (TypeError, ValueError):
        return False


def _is_serializer(value: Any) -> bool:
    return isinstance(value, str) and (value in ENCODERS.here() or value == "raw")  # as kombu's dumps looks it up


def _is_compression(value: Any) -> bool:
    try:
        compression.get_encoder(value)
    except (KeyError, TypeError):
        return False
    return True


def _is_octet(value: Any) -> bool:
    return hasattr(value, "__index__") and 0 <= value <= 255


_TEXT = Option("text", lambda value: isinstance(value, str))
_SECONDS = Option("a number of seconds", _is_number)
_TIME = Option("a time, as datetime or in ISO 8601", _is_time)

#: By name: the options that `Task.apply_async`, `Celery.send_task` and kombu's `Producer.publish` read.
OPTIONS: Mapping[str, Option] = {
    "countdown": Option("a number of seconds", _is_span),
    "eta": _TIME,
    "expires": Option("a number of seconds or a time", lambda value: _is_span(value) or _is_time(value)),
    "queue": Option("the name of a queue", lambda value: isinstance(value, (str, Queue))),
    "priority": Option("a whole number"),
    "serializer": Option("the name of a serializer", _is_serializer),
    "compression": Option("the name of a compression", _is_compression),
    "headers": Option("a dictionary", lambda value: isinstance(value, dict)),
    "retry_policy": Option("a dictionary", lambda value: isinstance(value, Mapping)),
    "time_limit": _SECONDS,
    "soft_time_limit": _SECONDS,
    "task_id": Option("text", lambda value: isinstance(value, (str, UUID))),
    **dict.fromkeys(
        (
            *("exchange", "routing_key", "exchange_type", "delivery_mode", "declare", "mandatory", "immediate"),
            *("retry", "timeout", "confirm_timeout", "connection", "router", "result_cls", "publisher", "route_name"),
            *("link", "link_error", "add_to_parent", "ignore_result", "shadow", "reply_to", "correlation_id"),
            *("group_id", "group_index", "retries", "chord", "chain", "root_id", "parent_id", "stamped_headers"),
            *("content_type", "content_encoding", "expiration", "user_id", "app_id", "message_id", "timestamp"),
            *("origin", "argsrepr", "kwargsrepr", "replaced_task_nesting", "task_type", "event_dispatcher"),
        ),
        Option(),
    ),
}

#: Options for which AMQP takes fewer values: an octet, a short string.
_AMQP: Mapping[str, Option] = {"priority": Option("a whole number from 0 to 255", _is_octet), "task_id": _TEXT}
