"""How long the queues are, asked every few seconds beside everything else: a broker that is slow must not stop the events."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.portable import queue_length
from tasktools.brokers.reach import connect

if TYPE_CHECKING:
    from celery import Celery

#: How often they are asked for, in seconds, and how long the broker may take.
PERIOD = 2.0
LIMIT = 2.5


class Lengths:
    """The lengths of the queues. Use it as a context manager."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        #: By name; None if nobody knows. It is replaced, never changed.
        self.known: Mapping[str, int] | None = None
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
                    while not self._ended.is_set():
                        self.known = lengths(self.app, connection)
                        self._ended.wait(PERIOD)
            except Exception:  # noqa: BLE001 - whatever it is, they are not known
                self.known = None
                self._ended.wait(PERIOD)


def lengths(app: Celery, connection: Any) -> dict[str, int]:
    """Return how many messages wait in each queue of the app, and on Redis also in those that producers have made."""
    names = {str(name) for name in app.amqp.queues}
    if connection.transport.driver_type != "redis":
        return {name: queue_length(connection, name) for name in sorted(names)}
    keys = Keys(connection.default_channel)
    with contextlib.suppress(Exception):  # its user may not look for keys
        bound = keys.lengths(sorted(set(keys.queues()) - names))
        return {**keys.lengths(sorted(names)), **{name: length for name, length in bound.items() if length}}
    return keys.lengths(sorted(names))
