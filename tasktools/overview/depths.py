"""The queues of a broker that is asked for one after the other, as far as it answers in time."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.queues import depth
from tasktools.queues.depth import Depth


class Depths:
    """What is known of the queues; of those that were not reached in time, nothing is."""

    def __init__(self, connection: Any, until: float) -> None:
        """`until` is a time of time.monotonic."""
        self._connection, self._until = connection, until
        self._found: dict[str, Depth] = {}
        #: Whether the broker has answered in time. If not, a thread still uses the connection.
        self.is_complete = True

    def read(self, queues: Collection[str]) -> None:
        """Ask for those of the queues that were not asked for."""
        wanted = [each for each in queues if each not in self._found]
        if not wanted or not self.is_complete:
            return
        found: dict[str, Depth] = {}
        try:
            within_thread(max(0.05, self._until - time.monotonic()), depth.read, self._connection, wanted, found)
        except TimedOut:
            self.is_complete = False
        self._found |= dict(found)

    def of(self, queue: str) -> Depth:
        return self._found.get(queue, Depth())

    def consumers(self, queues: Collection[str]) -> dict[str, int]:
        """Return how many consumers each of these queues has, as far as the broker says it."""
        self.read(queues)
        counts = {queue: self.of(queue).consumers for queue in queues}
        return {queue: count for queue, count in counts.items() if count is not None}
