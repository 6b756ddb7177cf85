"""The clock that beat goes by: that of the broker's server, so that all beats agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from tasktools.brokers.lease import ServerTime

#: A difference that the journey of an answer explains, in seconds.
JITTER = 0.05


class Clock:
    """Goes on from the last answer of the server. A change of the machine's own clock does not matter.

    Before the first answer, and with a broker that tells no time, it begins with the machine's clock.
    """

    def __init__(
        self,
        timezone: tzinfo,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timezone = timezone
        self._wall = wall
        self._monotonic = monotonic
        self._base = wall() - monotonic()

    def time(self) -> float:
        """Return the time in seconds since 1970."""
        return self._base + self._monotonic()

    def now(self) -> datetime:
        """Return the time, aware, in the app's time zone."""
        return datetime.fromtimestamp(self.time(), self.timezone)

    def ahead(self) -> float:
        """Return how far the machine's own clock is ahead of this one, in seconds."""
        return self._wall() - self.time()

    def adopt(self, server: ServerTime | None) -> float:
        """Go by what the server has answered; return by how much the clock changes, in seconds."""
        if server is None:
            return 0.0
        change = server.unix - server.monotonic - self._base
        if abs(change) <= server.within + JITTER:
            return 0.0
        self._base += change
        return change

    def follow(self, schedule: Any) -> Any:
        """Return a schedule (celery.schedules) that goes by this clock; itself if it has a clock of its own."""
        if getattr(schedule, "nowfun", None) is not None:
            return schedule
        try:
            mine = object.__new__(type(schedule))  # copy.copy loses its app, and what a subclass has besides
            vars(mine).update(vars(schedule), nowfun=self.now)
        except Exception:  # noqa: BLE001 - a class of the project may not allow that
            return schedule
        return mine
