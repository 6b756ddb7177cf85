"""Whether a beat is alive and ready, judged by its rounds."""

from __future__ import annotations

import time
from collections.abc import Callable

from tasktools.health.answer import Answer, Limits


class BeatWatch:
    """Follows the scheduler of one beat, from another thread."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self.since = clock()
        #: When the last round ended, as time.time(); 0 before the first one.
        self.last_round = 0.0
        #: By how much the last round began later than the one before has asked for, in seconds.
        self.lag = 0.0
        #: Returns whether this beat sends, or stands by; None while it is neither, since the lease cannot be reached.
        self.role: Callable[[], str | None] = lambda: ""
        #: Returns until when this round waits on purpose, by the same clock: a beat that stands by does.
        self.waits_until: Callable[[], float] = lambda: 0.0
        self._began: float | None = None
        self._due: float | None = None

    def begin_round(self) -> None:
        now = self.clock()
        if self._due is not None:
            self.lag = max(0.0, now - self._due)
        self._began, self._due = now, None

    def end_round(self, interval: float) -> None:
        """A round has ended, and the next is due in `interval` seconds."""
        self.last_round = time.time()
        self._began, self._due = None, self.clock() + interval

    def forgive(self) -> None:
        """The whole process has stood still: what did not happen in that time proves nothing."""
        now = self.clock()
        self._began = None if self._began is None else now
        self._due = None if self._due is None else max(self._due, now)

    def late(self) -> float:
        """Return by how many seconds the next round is late, or for how long this one lasts."""
        since = self._due if self._began is None else max(self._began, self.waits_until())
        return 0.0 if since is None else max(0.0, self.clock() - since)

    def live(self) -> Answer:
        if self._began is None and self._due is None:
            return Answer(True, "starting")
        late = self.late()
        if late <= (self.limits.beat if self._began is None else self.limits.round):
            return Answer(True, "waits for the broker" if (role := self.role()) is None else role or "sends")
        what = "its next round is due since" if self._began is None else "this round has lasted"
        return Answer(False, f"{what} {late:.0f} s")

    def ready(self) -> Answer:
        alive = self.live()
        if not alive.ok or not self.last_round:
            return Answer(False, alive.reason)
        role = self.role()
        return Answer(False, "does not reach its lease") if role is None else Answer(True, role or "sends")
