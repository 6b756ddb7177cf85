"""A message as it lies in a queue of Redis -> what it says of its task. Pure."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

#: Celery's own order of the headers (celery.app.amqp.as_task_v2), as kombu's JSON writes it. A quote inside a text of JSON has a
#: backslash in front, so these bytes are always the beginning of the headers.
_BEGIN = b'"headers": {"lang": "py", "task": "'

#: How the last part of a message begins.
_PROPERTIES = b'"properties": '

#: Longest text of a message that is kept, in characters: anybody may write anything into a list.
_LONGEST = 1_000

#: Longest body that is read for the arguments of a message whose headers do not show them, in bytes.
_LONGEST_BODY = 100_000


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a message says; None for what it does not."""

    #: None for a message that is not one of Celery's tasks.
    task: str | None = None
    id: str | None = None
    #: The arguments as the sender shows them (argsrepr): shortened.
    args: str | None = None
    kwargs: str | None = None
    retries: int | None = None
    #: Before `eta` a worker keeps it and does not run it; after `expires` it throws it away. ISO 8601.
    eta: str | None = None
    expires: str | None = None
    priority: int | None = None
    #: When it was sent, if its property `timestamp` says it.
    sent: datetime | None = None


def name_of(raw: bytes) -> str | None:
    """Return the name of the task of a message, which is None if it is not one of Celery's.

    Almost always it is cut out; JSON is parsed only for a message that is written in another way.
    """
    begin = raw.find(_BEGIN)
    if begin >= 0:
        begin += len(_BEGIN)
        name = raw[begin : raw.find(b'"', begin)]
        if b"\\" not in name:
            return name.decode("utf-8", "replace")
    return task_of(raw)


def task_of(raw: bytes) -> str | None:
    """Return the same, read from the whole message: nothing is removed because of what only looks like headers."""
    content = parsed(raw)
    name = _mapping(content.get("headers")).get("task")
    if name is None:
        name = _mapping(_body(content, most=None)).get("task")
    return name if isinstance(name, str) else None


def read(raw: bytes) -> Message:
    """Return what a message says. It may be anything: other programs may use the same list."""
    content = parsed(raw)
    headers, properties = _mapping(content.get("headers")), _mapping(content.get("properties"))
    if headers.get("task") is None:
        return _of_protocol_1(content, properties)
    args, kwargs = headers.get("argsrepr"), headers.get("kwargsrepr")
    if args is None and kwargs is None:
        args, kwargs = _arguments(content)
    return Message(
        task=_text(headers["task"]),
        id=_text(headers.get("id")),
        args=_text(args),
        kwargs=_text(kwargs),
        retries=_number(headers.get("retries")),
        eta=_text(headers.get("eta")),
        expires=_text(headers.get("expires")),
        priority=_number(properties.get("priority")),
        sent=_sent(properties),
    )


def sent_of(end: bytes) -> datetime | None:
    """Return when a message was sent, from its end: kombu writes the properties there."""
    place = end.rfind(_PROPERTIES)
    return None if place < 0 else _sent(parsed(end[place + len(_PROPERTIES) : -1]))


def parsed(raw: bytes) -> Mapping[str, Any]:
    """Return the message as the object that it should be; an empty one for anything else."""
    with contextlib.suppress(ValueError, RecursionError):
        return _mapping(json.loads(raw))
    return {}


def _of_protocol_1(content: Mapping[str, Any], properties: Mapping[str, Any]) -> Message:
    """Return what a message of Celery's first protocol says, which has all in its body."""
    body = _mapping(_body(content))
    return Message(
        task=_text(body.get("task")),
        id=_text(body.get("id")),
        args=_shown(body.get("args")),
        kwargs=_shown(body.get("kwargs")),
        retries=_number(body.get("retries")),
        eta=_text(body.get("eta")),
        expires=_text(body.get("expires")),
        priority=_number(properties.get("priority")),
        sent=_sent(properties),
    )


def _arguments(content: Mapping[str, Any]) -> tuple[str | None, str | None]:
    body = _body(content)
    if isinstance(body, list) and len(body) >= 2:
        return _shown(body[0]), _shown(body[1])
    return None, None


def _body(content: Mapping[str, Any], *, most: int | None = _LONGEST_BODY) -> Any:
    """Return the body if it is JSON of at most `most` bytes. Nothing else is ever decoded: a pickle may run code."""
    body = content.get("body")
    if content.get("content-type") != "application/json" or not isinstance(body, str):
        return None
    if most is not None and len(body) > most:
        return None
    if _mapping(content.get("headers")).get("compression"):
        return None
    with contextlib.suppress(ValueError, RecursionError):
        is_encoded = _mapping(content.get("properties")).get("body_encoding") == "base64"
        return json.loads(base64.b64decode(body) if is_encoded else body)
    return None


def _sent(properties: Mapping[str, Any]) -> datetime | None:
    stamp = properties.get("timestamp")
    if isinstance(stamp, bool) or not isinstance(stamp, (int, float)):
        return None
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(stamp, timezone.utc)
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return None if value is None else cut(str(value))


def cut(text: str) -> str:
    """Return a text as it is kept; it ends with … if it was longer."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _shown(value: Any) -> str | None:
    """Return arguments as Celery shows those that its headers have."""
    return None if value is None else _text(repr(tuple(value) if isinstance(value, list) else value))


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
