"""A message as the broker gave it, kept as text and bytes, so that it can be sent again as it came.

The text is kombu's JSON (`kombu.utils.json`), which keeps bytes, times, Decimals and UUIDs in headers. Nothing is pickled.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kombu.utils import json

#: The header with the id of the failed task of which a message is the retry, and the one that counts its earlier failures.
RETRY_OF = "tasktools_retry_of"
FAILURES = "tasktools_failures"

#: What each delivery has of its own.
_OF_ONE_DELIVERY = ("delivery_tag", "consumer_tag", "delivery_info")

#: Where the text of a message has the one in whose place it was sent.
_ORIGINAL = "original"

#: The end of such a text, and of no other: the original is its last part, and an object in it.
EDITED_END = "}}"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """All that a message consists of."""

    headers: Mapping[str, Any]
    #: Without the tag of its delivery.
    properties: Mapping[str, Any]
    #: "exchange" and "routing_key" among others.
    delivery_info: Mapping[str, Any]
    content_type: str | None
    content_encoding: str | None
    #: Decompressed, as kombu hands it out; None if it is not kept.
    body: bytes | None
    #: The message as it failed, if this one was sent in its place, with other arguments.
    original: Kept | None = None

    def text(self) -> str:
        """Return all but the body as text for `read`."""
        parts: dict[str, Any] = {
            "headers": self.headers,
            "properties": self.properties,
            "delivery_info": self.delivery_info,
            "content_type": self.content_type,
            "content_encoding": self.content_encoding,
        }
        if self.original is not None:
            parts[_ORIGINAL] = {"message": self.original.text(), "body": _coded(self.original.body)}
        try:
            return str(json.dumps(parts))
        except (TypeError, ValueError):
            return str(json.dumps(_plain(parts)))

    @classmethod
    def read(cls, text: str, body: bytes | memoryview | None) -> Kept:
        """Return what `text` was made of. Raises ValueError for other text."""
        parts = json.loads(text)
        before = parts.pop(_ORIGINAL, None) if isinstance(parts, dict) else None
        original = None if before is None else cls.read(before["message"], _decoded(before["body"]))
        return cls(**parts, body=None if body is None else bytes(body), original=original)


#: What is in the place of a message that is not kept at all.
NOTHING = Kept(headers={}, properties={}, delivery_info={}, content_type=None, content_encoding=None, body=None)


def kept(message: Any) -> Kept:
    """Return a message of kombu as it came; for one that kombu could not decompress, its body as it was sent."""
    body = message.body
    return Kept(
        headers=dict(message.headers or {}),
        properties={name: each for name, each in (message.properties or {}).items() if name not in _OF_ONE_DELIVERY},
        delivery_info={
            name: each for name, each in (message.delivery_info or {}).items() if name not in _OF_ONE_DELIVERY
        },
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        body=body.encode("utf-8", "surrogatepass") if isinstance(body, str) else None if body is None else bytes(body),
    )


def _coded(body: bytes | None) -> str | None:
    return None if body is None else base64.b64encode(body).decode()


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _plain(value: Any) -> Any:
    """Replace what JSON has no word for by its text: a header of a foreign program may hold anything."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return str(value)
    return value
