"""What a worker notes of a failed task: plain values, as they are known in its main process. `row` makes a row of them.

Its texts are cut when it is noted: it may wait long for the database, and its size is what it takes until then.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tasktools.failures.message import FAILURES, RETRY_OF, Kept
from tasktools.failures.text import NAME, REASON, TRACEBACK, cut, name
from tasktools.models import Kind

#: What a failure takes in memory beside its texts, about.
_OVERHEAD = 2_000

#: What each part of a header takes beside its text, about; and where measuring ends, in bytes: more is too much anyway.
_PART = 50
_END = 2**27

#: What is left of a traceback or a reason at least, in characters.
_LEAST = 1_000

_FLAT = (type(None), bool, int, float)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A task that ended badly."""

    kind: Kind
    message: Kept
    #: Of this failure alone: by it, what was written is known although the database's answer was lost.
    key: uuid.UUID = field(default_factory=uuid.uuid4)
    task_id: str = ""
    #: "" if the message does not tell it.
    task: str = ""
    #: The name of the exception's class with its module; "" if there is none.
    exception: str = ""
    reason: str = ""
    traceback: str = ""
    queue: str = ""
    worker: str = ""
    #: Seconds since the epoch; None if it has not begun.
    started_at: float | None = None
    failed_at: float = field(default_factory=time.time)
    #: How often Celery had retried it.
    retries: int = 0

    #: How much memory it takes, in bytes, about.
    size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cuts: dict[str, Any] = {
            each: name(getattr(self, each)) for each in ("task_id", "task", "exception", "queue", "worker")
        }
        cuts |= {"reason": cut(self.reason, REASON), "traceback": cut(self.traceback, TRACEBACK)}
        message = self.message
        parts = (message.headers, message.properties, message.delivery_info, *cuts.values())
        for each, value in {**cuts, "size": _OVERHEAD + len(message.body or b"") + _measure(parts)}.items():
            object.__setattr__(self, each, value)

    def lighter(self, most: int, why: str = "") -> Failure:
        """Return it without the body of its message, and cut what is big of the rest until it takes at most `most` bytes.

        The traceback and the reason keep a part each. Of headers and properties that are big, all but what links it is left out.
        `why` is the end of a sentence; by default it is too big.
        """
        why = why or f"it is too big, with about {self.size:,} bytes"
        message = replace(self.message, body=None)
        if _measure((message.headers, message.properties, message.delivery_info)) > most // 2:
            links = {each: value for each, value in message.headers.items() if each in (RETRY_OF, FAILURES)}
            headers = links if _measure(links) < 4 * NAME else {}
            message = replace(message, headers=headers, properties={}, delivery_info={})
        note = f"\nIts message is not kept: {why}."
        reason = cut(self.reason, REASON - len(note))
        found = replace(self, reason=f"{reason}{note}".lstrip(), message=message)
        if found.size > most:
            found = replace(found, traceback=_shorter(self.traceback, found.size - most))
        if found.size > most:
            found = replace(found, reason=f"{_shorter(reason, found.size - most)}{note}".lstrip())
        return found


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A task that was sent again has succeeded."""

    task_id: str
    at: float = field(default_factory=time.time)

    @property
    def size(self) -> int:
        """How much memory it takes, in bytes, about."""
        return _OVERHEAD


def _shorter(text: str, by: int) -> str:
    """Return a text that is shorter by so many characters, if enough of it is left."""
    return cut(text, max(_LEAST, len(text) - by))


def _measure(value: Any) -> int:
    """Return how much memory a value of a message takes, in bytes, about."""
    size, left = _PART + _length(value), [value]
    while left and size < _END:
        parts = _parts(left.pop())
        size += _PART * len(parts)
        for each in parts:
            if type(each) is str:  # as most are
                size += len(each)
            elif type(each) not in _FLAT:
                size += _length(each)
                left.append(each)
    return size


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, bytearray)) else 0


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, (list, tuple)):
        return value
    return (*value.keys(), *value.values()) if isinstance(value, Mapping) else ()
