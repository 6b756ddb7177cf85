"""The message of a failed task -> the message with which it is sent again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from celery.utils.time import maybe_iso8601
from kombu.compression import compress, decompress
from kombu.serialization import dumps, loads

from tasktools.celery_compat import SERIALIZERS
from tasktools.failures.arguments import _PICKLE
from tasktools.failures.message import FAILURES, RETRY_OF, Kept

#: Properties that kombu writes by itself, and those of AMQP that stand beside the properties too.
_WRITTEN = frozenset({"body_encoding", "content_type", "content_encoding", "application_headers"})

#: What Celery's first protocol keeps in the body of a message, in place of its headers.
_IN_BODY = frozenset({"task", "id", "args", "kwargs"})


@dataclass(frozen=True, kw_only=True)
class Remade:
    """A message that can be sent: its body is compressed if its headers say so."""

    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    content_type: str | None
    content_encoding: str | None
    body: bytes
    exchange: str
    routing_key: str
    #: What of it is not as it came, and why: a sentence each.
    notes: tuple[str, ...] = ()


class Unsendable(ValueError):
    """Why a message cannot be sent again: a reason without a full stop."""


def remade(before: Kept, *, old_id: str, new_id: str, failures: int, now: datetime | None = None) -> Remade:
    """Return the message of a retry: `before` with another id, and with the headers that name the failed task.

    `failures` is how many failures of this call came before the new message. Raises Unsendable.
    """
    if before.body is None:
        raise Unsendable("its body was not kept")
    now = now or datetime.now(timezone.utc)
    headers, body = dict(before.headers), before.body
    notes: list[str] = []
    if "id" in headers or "task" in headers:
        headers, notes = _renamed(headers, old_id, new_id, now)
    else:
        found = first_protocol(before)
        if found is not None:
            fields, notes = _renamed(found, old_id, new_id, now)
            body = written(fields, before)
    headers |= {RETRY_OF: old_id, FAILURES: failures}
    properties = {name: each for name, each in before.properties.items() if name not in _WRITTEN}
    if "correlation_id" in properties:
        properties["correlation_id"] = new_id
    return Remade(
        headers=headers,
        properties=properties,
        content_type=before.content_type,
        content_encoding=before.content_encoding,
        body=_compressed(body, headers.get("compression")),
        exchange=str(before.delivery_info.get("exchange") or ""),
        routing_key=str(before.delivery_info.get("routing_key") or ""),
        notes=tuple(notes),
    )


def first_protocol(kept: Kept) -> dict[str, Any] | None:
    """Return the body of a message of Celery's first protocol; None for another one."""
    try:
        found = read(kept)
    except Exception:  # noqa: BLE001 - a body that cannot be read is no message of Celery's
        return None
    return dict(found) if isinstance(found, Mapping) and found.keys() >= _IN_BODY else None


def read(kept: Kept) -> Any:
    """Return what the body says. Raises what kombu's serializers raise; pickle is never read."""
    if kept.body is None or _PICKLE in (kept.content_type or ""):
        raise Unsendable(f"its body is {'not kept' if kept.body is None else 'pickled, which is not read here'}")
    return loads(kept.body, kept.content_type or "application/data", kept.content_encoding or "binary")


def written(value: Any, like: Kept) -> bytes:
    """Return a value as a body with the content type of another message. Raises what kombu's serializers raise."""
    serializer = SERIALIZERS.here().type_to_name.get(like.content_type)
    if serializer is None:
        raise Unsendable(f'no serializer is installed for "{like.content_type}"')
    data = dumps(value, serializer=serializer)[2]
    return data.encode(like.content_encoding or "utf-8") if isinstance(data, str) else bytes(data)


def _renamed(fields: Mapping[str, Any], old_id: str, new_id: str, now: datetime) -> tuple[dict[str, Any], list[str]]:
    """Return headers (or what stands for them) with the new id, and what else was changed."""
    made, notes = dict(fields), []
    if made.get("root_id") in (old_id, made.get("id")) and "root_id" in made:
        made["root_id"] = new_id
    made["id"] = new_id
    if made.get("retries"):  # Celery itself had sent it again, and had set these
        made["retries"] = 0
        if made.get("eta") is not None:
            made["eta"] = None
    expires = _moment(made.get("expires"))
    if expires is not None and expires <= now:
        made["expires"] = None
        notes.append(f"it had expired at {expires.isoformat()}: it is sent without that time")
    return made, notes


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(maybe_iso8601(value))) if value else None
    except (TypeError, ValueError):
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=timezone.utc)


def _compressed(body: bytes, method: Any) -> bytes:
    """Return the body as it is sent; one that could not be decompressed when it came is kept as it was sent."""
    if not method:
        return body
    try:
        decompress(body, method)
    except Exception:  # noqa: BLE001 - each method has errors of its own
        try:
            return bytes(compress(body, method)[0])
        except Exception:  # noqa: BLE001 - nobody here can compress it: nobody here has decompressed it either
            return body
    return body
