"""Which queues there are: those that are declared or bound, and any list of Redis that holds messages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import redis

from tasktools.brokers.keys import MOST_SCANS, Binding, Keys
from tasktools.queues.messages import parsed
from tasktools.registry.candidates import queue_names

if TYPE_CHECKING:
    from celery import Celery

#: How many lists are looked into, to tell a queue from another program's list.
MOST_LISTS = 1_000

#: Longest message that is fetched for that, in bytes.
_LONGEST = 1_000_000

#: The exchanges of remote control and of events, whose queues last as long as their reader.
_OWN = re.compile(r"celeryev$|.*\.pidbox$")
_OWN_QUEUE = re.compile(r"celeryev\.|.*\.pidbox$")


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
    found = Found(declared=queue_names(app))
    if keys is None:
        return found
    try:
        found.bindings = [each for each in keys.bindings() if not _OWN.match(each.exchange)]
        found.bound = {each.queue for each in found.bindings if not _OWN_QUEUE.match(each.queue)}
        lists = _Lists(keys)
        found.stray = set(lists.queues(None if deep else MOST_SCANS, found.names))
        found.is_complete = lists.is_complete
    except redis.exceptions.NoPermissionError:
        found.is_complete = False  # its user may not list the keys
    return found


class _Lists:
    """The lists of a database."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.is_complete = False
        separator = re.escape(keys.channel.sep)
        steps = "|".join(str(step) for step in keys.channel.priority_steps)
        #: What kombu adds to the name of a queue for the other priorities.
        self._priority = re.compile(rf"{separator}(?:{steps})$") if keys.channel.sep else None

    def queues(self, most: int | None, known: Collection[str]) -> Iterator[str]:
        """Yield the queues that are not among the known ones, after at most so many scans."""
        names = (name for name in self._names(most) if name not in known and not _OWN_QUEUE.match(name))
        for name in islice(dict.fromkeys(names), MOST_LISTS):
            if holds_messages(self.keys, name):
                yield name

    def _names(self, most: int | None) -> Iterator[str]:
        cursor, scans, prefix = 0, 0, self.keys.prefix
        while most is None or scans < most:
            cursor, some = self.keys.client.scan(cursor, count=1000, _type="list")
            scans += 1
            for key in some:
                with contextlib.suppress(UnicodeDecodeError):
                    name = key.decode()
                    if name.startswith(prefix):
                        name = name.removeprefix(prefix)
                        yield self._priority.sub("", name) if self._priority else name
            if not cursor:
                self.is_complete = True
                return


def holds_messages(keys: Keys, queue: str) -> bool:
    """Whether one of these lists holds what kombu writes: other programs may have lists in the same database."""
    return any(_holds_messages(keys, key) for key in keys.lists(queue))


def _holds_messages(keys: Keys, key: str) -> bool:
    """Whether the message at the front of a list is one of kombu's; a huge one is not parsed."""
    with contextlib.suppress(redis.exceptions.ResponseError):
        first: Any = keys.client.lindex(key, -1)
        if first is not None and len(first) <= _LONGEST:
            return {"body", "headers", "properties"} <= parsed(first).keys()
        return first is not None and first.startswith(b'{"body": ')
    return False
