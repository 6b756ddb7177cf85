"""Which queues there are: those that are declared or bound, and any list of Redis that holds messages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import redis

from tasktools.brokers.keys import MOST_SCANS, Binding, Keys
from tasktools.queues.messages import parsed
from tasktools.registry.candidates import queue_names

if TYPE_CHECKING:
    from celery import Celery

#: How many lists are looked into, to tell a queue from another program's list, if not all are wanted.
MOST_LISTS = 1_000

#: How many of them are looked into in one round trip: a whole message of each comes over the network.
_AT_ONCE = 50

#: Longest message that is parsed for that, in bytes.
_LONGEST = 1_000_000

#: The exchanges of remote control and of events, whose queues last as long as their reader.
_OWN = re.compile(r"celeryev$|.*\.pidbox$")
_OWN_QUEUE = re.compile(r"celeryev\.|.*\.pidbox$")


def is_internal(queue: str) -> bool:
    """Whether a queue is one of remote control or of events."""
    return bool(_OWN_QUEUE.match(queue))


@dataclass(kw_only=True)
class Found:
    """The queues that were found, by how."""

    #: The settings name them, or a task is routed to them.
    declared: set[str] = field(default_factory=set)
    #: A producer or a worker has made them, at some time.
    bound: set[str] = field(default_factory=set)
    #: They hold messages, and that is all that is known of them.
    stray: set[str] = field(default_factory=set)
    bindings: list[Binding] = field(default_factory=list)
    #: Whether the whole database was looked at; None where the broker cannot list its queues.
    is_complete: bool | None = None

    @property
    def names(self) -> set[str]:
        return self.declared | self.bound | self.stray


def find(app: Celery, keys: Keys | None, *, deep: bool = False) -> Found:
    """Return the queues of an app, and on Redis (`keys`) all others too.

    In a large database only the first keys are looked at, unless `deep` is set.
    """
    *_, found = finding(app, keys, deep=deep)
    return found


def finding(app: Celery, keys: Keys | None, *, deep: bool = False) -> Iterator[Found]:
    """Yield what is found so far, after each step; it is always the same object. No step takes long."""
    found = Found(declared=queue_names(app))
    yield found
    if keys is None:
        return
    try:
        most = None if deep else MOST_SCANS
        for some in keys.bindings(most):
            found.bindings += [each for each in some if not _OWN.match(each.exchange)]
            found.bound = {each.queue for each in found.bindings if not _OWN_QUEUE.match(each.queue)}
            yield found
        lists = _Lists(keys)
        for queues in lists.queues(most, found.names):
            found.stray |= queues
            yield found
        found.is_complete = lists.is_complete
    except redis.exceptions.NoPermissionError:
        found.is_complete = False  # its user may not list the keys


class _Lists:
    """The lists of a database."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.is_complete = False
        separator = re.escape(keys.channel.sep)
        steps = "|".join(str(step) for step in keys.channel.priority_steps)
        #: What kombu adds to the name of a queue for the other priorities.
        self._priority = re.compile(rf"{separator}(?:{steps})$") if keys.channel.sep else None

    def queues(self, most: int | None, known: Collection[str]) -> Iterator[set[str]]:
        """Yield the queues that are not among the known ones, after at most so many scans, and an empty set between them."""
        seen = set(known)
        for names in self._names(most):
            new = [name for name in dict.fromkeys(names) if name not in seen and not _OWN_QUEUE.match(name)]
            left = len(new) if most is None else MOST_LISTS - (len(seen) - len(known))
            seen.update(new)
            for start in range(0, min(len(new), left), _AT_ONCE):
                yield _holding(self.keys, new[start : min(start + _AT_ONCE, left)])
            if len(new) > left:
                self.is_complete = False
                return
            yield set()

    def _names(self, most: int | None) -> Iterator[list[str]]:
        cursor, scans = 0, 0
        while most is None or scans < most:
            cursor, some = self.keys.client.scan(cursor, count=1000, _type="list")
            scans += 1
            self.is_complete = not cursor
            yield list(filter(None, map(self._name, some)))
            if not cursor:
                return

    def _name(self, key: bytes) -> str:
        """Return the queue of a list, "" if it cannot be one."""
        prefix = self.keys.prefix
        with contextlib.suppress(UnicodeDecodeError):
            if (name := key.decode()).startswith(prefix):
                name = name.removeprefix(prefix)
                return self._priority.sub("", name) if self._priority else name
        return ""


def holds_messages(keys: Keys, queue: str) -> bool:
    """Whether one of these lists holds what kombu writes: other programs may have lists in the same database."""
    return bool(_holding(keys, [queue]))


def _holding(keys: Keys, queues: Collection[str]) -> set[str]:
    """Return those of these queues whose lists hold messages. They are asked for in one round trip."""
    lists = [(queue, key) for queue in queues for key in keys.lists(queue)]
    with keys.client.pipeline(transaction=False) as pipeline:
        for _, key in lists:
            pipeline.lindex(key, -1)
        fronts = pipeline.execute(raise_on_error=False)  # a key may hold something else by now
    return {queue for (queue, _), front in zip(lists, fronts, strict=True) if _is_message(front)}


def _is_message(front: Any) -> bool:
    """Whether the message at the front of a list is one of kombu's; a huge one is not parsed."""
    if not isinstance(front, bytes):
        return False
    if len(front) <= _LONGEST:
        return {"body", "headers", "properties"} <= parsed(front).keys()
    return front.startswith(b'{"body": ')
