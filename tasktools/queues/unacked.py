"""What the workers of Redis have taken and not acknowledged, by queue: kombu keeps it in one hash for all queues."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from tasktools.brokers.keys import Binding, Keys
from tasktools.queues.messages import parsed

#: More of them are only read with `deep`.
MOST_TAKEN = 20_000

#: How many are read at once.
SLICE = 200


@dataclass(kw_only=True)
class Taken:
    """What is taken of one queue."""

    count: int = 0
    #: How many of these a worker holds until their eta.
    later: int = 0
    #: When the oldest of them was taken, in seconds since 1970.
    since: float | None = None

    def add(self, at: float, *, is_later: bool) -> None:
        self.count += 1
        self.later += is_later
        self.since = at if self.since is None else min(at, self.since)


@dataclass(frozen=True, kw_only=True)
class Unacked:
    by_queue: dict[str, Taken] = field(default_factory=dict)
    #: The queues of which it cannot be known: a message could be of any of them.
    doubtful: set[str] = field(default_factory=set)


def unacked(keys: Keys, bindings: Collection[Binding], *, deep: bool = False) -> Iterator[Unacked | None]:
    """Yield what is taken and not acknowledged, as far as it is read, after each slice; it is always the same object.

    It is None if it is too much to read, and `deep` is not set.
    """
    index = keys.full(keys.channel.unacked_index_key)
    if not deep and keys.client.zcard(index) > MOST_TAKEN:
        yield None
        return
    now, places, found = datetime.now(timezone.utc), _Places(bindings), Unacked()
    yield found
    for entries in _slices(keys, index):
        for at, entry in entries:
            queues = places.queues(_text(entry, 1), _text(entry, 2))
            if len(queues) > 1:
                found.doubtful.update(queues)
            for queue in queues[:1]:
                found.by_queue.setdefault(queue, Taken()).add(at, is_later=_is_later(entry, now))
        yield found


def _slices(keys: Keys, index: str) -> Iterator[list[tuple[float, Sequence[Any]]]]:
    """Yield when each message was taken, and [message, exchange, routing key] as kombu keeps it. The oldest is first."""
    start = 0
    while tags := keys.client.zrange(index, start, start + SLICE - 1, withscores=True):
        start += SLICE
        values = keys.client.hmget(keys.full(keys.channel.unacked_key), [tag for tag, _ in tags])
        # one that is None has been acknowledged meanwhile
        yield [(float(at), _list(value)) for (_, at), value in zip(tags, values, strict=True) if value is not None]


def _list(value: bytes) -> Sequence[Any]:
    entry = parsed(b'{"entry": ' + value + b"}").get("entry")
    return entry if isinstance(entry, list) else ()


def _text(entry: Sequence[Any], place: int) -> str:
    return str(entry[place]) if len(entry) > place else ""


def _is_later(entry: Sequence[Any], now: datetime) -> bool:
    """Whether a worker holds the message until its eta."""
    headers = entry[0].get("headers") if entry and isinstance(entry[0], dict) else None
    eta = headers.get("eta") if isinstance(headers, dict) else None
    try:
        at = datetime.fromisoformat(str(eta).replace("Z", "+00:00"))
    except ValueError:
        return False
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)) > now


class _Places:
    """The queues to which an exchange hands the messages of a routing key."""

    def __init__(self, bindings: Collection[Binding]) -> None:
        self._bindings: dict[str, list[Binding]] = {}
        for each in bindings:
            self._bindings.setdefault(each.exchange, []).append(each)
        self._known: dict[tuple[str, str], list[str]] = {}

    def queues(self, exchange: str, key: str) -> list[str]:
        """Return them; if nothing is bound, the routing key is the name of the queue, as it is with the default exchange."""
        if (exchange, key) not in self._known:
            bound = self._bindings.get(exchange, []) if exchange else []
            exact = {each.queue for each in bound if each.routing_key == key}
            found = exact or {each.queue for each in bound if each.pattern and _matches(each.pattern, key)}
            self._known[exchange, key] = sorted(found) or [key]
        return self._known[exchange, key]


def _matches(pattern: str, key: str) -> bool:
    try:
        return re.match(pattern, key) is not None
    except re.error:
        return False
