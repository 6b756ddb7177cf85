"""How long the queues are, for watchtasks --top. A broker that is slow must not stop the events: a thread asks it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.reach import connect
from tasktools.control.answers import ask
from tasktools.exceptions import TasktoolsError
from tasktools.queues import depth
from tasktools.queues.found import Found, find

if TYPE_CHECKING:
    from celery import Celery

#: How often the lengths are asked for, in seconds, and how long the broker may take.
PERIOD = 2.0
LIMIT = 2.5

#: After so many looks the queues are searched for again: on Redis this goes through the keys, and the workers are asked.
LOOKS = 10

#: So many queues that were seen once are remembered: a name may be made for each request.
MOST_SEEN = 100


class Lengths:
    """The lengths of the queues. Use it as a context manager."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        #: By name; None if nobody knows. It is replaced, never changed.
        self.known: Mapping[str, int] | None = None
        #: The queues that are shown also if they are empty: workers read them, or they held messages before.
        self._kept: set[str] = set()
        self._ended = threading.Event()

    def __enter__(self) -> Lengths:
        threading.Thread(target=self._ask, daemon=True, name="lengths of queues").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                with connect(broker_of(self.app), LIMIT) as connection:
                    self._follow(connection)
            except Exception:  # noqa: BLE001 - whatever it is, they are not known
                self.known = None
                self._ended.wait(PERIOD)

    def _follow(self, connection: Any) -> None:
        while not self._ended.is_set():
            found = find(self.app, Keys(connection.default_channel) if depth.is_redis(connection) else None)
            self._look(connection, found)  # the workers may take a second to answer
            self._kept |= read_by_workers(self.app)
            for _ in range(LOOKS):
                self._look(connection, found)
                if self._ended.wait(PERIOD):
                    return

    def _look(self, connection: Any, found: Found) -> None:
        self.known = known = lengths(connection, found, self._kept)
        for name, length in known.items():
            if length and len(self._kept) < MOST_SEEN:
                self._kept.add(name)


def lengths(connection: Any, found: Found, kept: Collection[str] = ()) -> dict[str, int]:
    """Return how many messages wait in each queue that is declared or `kept`, and in each other one that is not empty."""
    read: dict[str, depth.Depth] = {}
    depth.read(connection, {*found.names, *kept}, read)
    waiting = ((name, each.waiting) for name, each in read.items())
    return {
        name: number for name, number in waiting if number or (number == 0 and (name in found.declared or name in kept))
    }


def read_by_workers(app: Celery) -> set[str]:
    """Return the queues that the workers take from, as far as they answer."""
    try:
        answers = ask(app, {"active_queues": {}}).of("active_queues", list)
    except TasktoolsError:  # this transport has no remote control, or its user may not use it
        return set()
    return {
        str(each["name"]) for said in answers.values() for each in said if isinstance(each, Mapping) and "name" in each
    }
