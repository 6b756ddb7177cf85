"""Wake a worker's loop from outside."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tasktools.celery_compat import DRAIN_EVENTS

if TYPE_CHECKING:
    from kombu import Connection

    from tasktools.worker.protocols import Hub

#: How soon a full worker checks whether it has room again, if nothing signals that, in seconds.
WAKE = 0.02


class Waker:
    """Makes the loop look again after WAKE. The loop's own timers wait at least a second (kombu's Hub.fire_timers)."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.inbox, self.door = socket.socketpair()
        self.inbox.setblocking(False)
        self.asked = False
        hub.add_reader(self.inbox.fileno(), self._heard)

    def wake_soon(self) -> None:
        if not self.asked:
            self.asked = True
            timer = threading.Timer(WAKE, self._ring)
            timer.daemon = True
            timer.start()

    def close(self) -> None:
        self.hub.remove_reader(self.inbox.fileno())
        self.inbox.close()
        self.door.close()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # it has been closed
            self.door.send(b"\0")

    def _heard(self) -> None:
        self.asked = False
        with contextlib.suppress(OSError):
            self.inbox.recv(64)


def look_again_soon(connection: Connection, admits: Callable[[], bool]) -> None:
    """Make the loop of gevent and eventlet, which has no hub, look again after WAKE while it may not take a task.

    Otherwise, the loop waits for two seconds (celery.worker.loops.synloop).
    """

    def wrapper(drain: Callable[..., object]) -> Callable[..., object]:
        def drain_events(timeout: float | None = None, **options: object) -> object:
            return drain(timeout=timeout if admits() else WAKE, **options)

        return drain_events

    DRAIN_EVENTS.wrap(connection, wrapper)
