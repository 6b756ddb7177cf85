"""Whether a worker is alive and ready, judged by what was seen of its loop, its pool and its queues.

A worker that is busy is alive, whatever its queues hold. One that waits for its broker is alive too, because a restart would not
help. Only if the broker answers another connection of the same process, it counts that this worker hears nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Protocol

from tasktools.health.answer import Answer, Limits

STARTING, RUNNING, LOST, STOPPING = "starting", "running", "without a connection", "stopping"

#: How many looks may be missing before what the last one saw counts no more.
MISSING = 4


class Pool(Protocol):
    """What is known of the tasks of a worker."""

    def stops_loop(self) -> bool:
        """Whether the loop stands still while the pool is full."""

    def size(self) -> int:
        """How many tasks can run at the same time; 0 if it is not known."""

    def running(self) -> list[float]:
        """For how long each task that runs has run, in seconds."""

    def in_hand(self) -> int:
        """How many tasks the worker has taken that take up its room."""

    def due(self) -> int:
        """How many tasks run, or could begin now."""

    def begun(self) -> int:
        """How many tasks have begun since the start."""


class WorkerWatch:
    """Follows one worker. The loop, the looks at the queues and those who ask are different threads."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self.since = self._phase_since = self._turned = self._took = clock()
        self.phase = STARTING
        self.pool: Pool | None = None
        #: Whether the broker can be asked for the lengths of the queues.
        self.can_look = True
        #: Each returns why the worker takes nothing on purpose, "" if it does not know a reason.
        self.held: list[Callable[[], str]] = []
        #: How many messages the worker has taken.
        self.taken = 0
        #: The queues, with their messages that wait, and the age of the oldest in seconds, at the last look that worked.
        self.lengths: dict[str, int] = {}
        self.ages: dict[str, float] = {}
        self.broker_error = ""
        #: Since when each look has had an answer; since when each saw messages that this worker could take and did not.
        self._answers_since: float | None = None
        self._waits_since: float | None = None
        self._looked = self._seen_taken = 0.0
        #: The queues with messages that this worker should take, at the last look.
        self._waiting: list[str] = []
        self._begun, self._begun_at = 0, self.since

    # What happens in the worker

    def begin(self, pool: Pool) -> None:
        """The worker is connected and consumes."""
        self.pool = pool
        self._enter(RUNNING)
        self._waits_since = None
        self._took = self._turned = self.clock()

    def lost(self) -> None:
        """The connection has gone."""
        if self.phase != STOPPING:
            self._enter(LOST)

    def stopping(self) -> None:
        """The worker takes no more tasks, and ends."""
        self._enter(STOPPING)

    def turn(self) -> None:
        """The loop has come around."""
        self._turned = self.clock()

    def take(self) -> None:
        """A message has arrived."""
        self.taken += 1
        self._took = self._turned = self.clock()

    def forgive(self) -> None:
        """The whole process has stood still: what did not happen in that time proves nothing."""
        self._turned = self._took = self._phase_since = self.clock()
        self._waits_since = self._answers_since = None

    def _enter(self, phase: str) -> None:
        if phase != self.phase:
            self.phase, self._phase_since = phase, self.clock()

    # What a look at the broker has seen

    def wants_look(self) -> bool:
        """Whether something may be wrong: a worker that takes messages has no need of looks."""
        now, patience = self.clock(), self.limits.look
        if not self.can_look or self.phase in (STARTING, STOPPING):
            return False
        return self.phase == LOST or now - self._turned > patience or now - self._took > patience

    def looked(self, lengths: dict[str, int], ages: dict[str, float], shared: Collection[str] = ()) -> None:
        """The broker has answered. Nothing follows from messages of the queues in `shared`: they are paused, or for others."""
        now = self.clock()
        if self._answers_since is None or now - self._looked > MISSING * self.limits.look:
            self._answers_since = now
        self.lengths, self.ages, self.broker_error = lengths, ages, ""
        self._waiting = [name for name, length in lengths.items() if length and name not in shared]
        could_take = self._waiting and self.phase == RUNNING and self._has_room() and not self.why_held()
        if not could_take or self.taken != self._seen_taken:
            self._waits_since = None
        elif self._waits_since is None or now - self._looked > MISSING * self.limits.look:
            self._waits_since = now
        self._looked, self._seen_taken = now, self.taken

    def unanswered(self, error: str) -> None:
        """The broker has not answered."""
        self._answers_since = None
        self.broker_error = error

    def _unheard(self, since: float) -> float:
        """Return for how long the broker answered, although this worker has heard nothing since then, in seconds."""
        if not self.can_look:
            return self.clock() - since
        return 0.0 if self._answers_since is None else self._looked - max(since, self._answers_since)

    def _is_full(self) -> bool:
        """Whether the loop may stand still, because the pool is full."""
        pool = self.pool
        return pool is not None and pool.stops_loop() and len(pool.running()) >= pool.size()

    def _has_room(self) -> bool:
        return self.pool is not None and self.pool.in_hand() < self.pool.size()

    def why_held(self) -> str:
        """Return why the worker takes nothing on purpose; "" if it should take something."""
        return next((why for each in self.held if (why := each())), "")

    # What it answers

    def live(self) -> Answer:
        if self.phase in (STARTING, STOPPING):
            return Answer(True, self.phase)
        wrong = self._stuck() or (self._unconnected() if self.phase == LOST else self._deaf() or self._stalled())
        if wrong:
            return Answer(False, wrong)
        return Answer(True, self._does() if self.phase == RUNNING else "waits for the broker")

    def ready(self) -> Answer:
        alive = self.live()
        if not alive.ok:
            return alive
        if self.phase != RUNNING:
            return Answer(False, self.phase)
        if self.broker_error:
            return Answer(False, f"the broker does not answer: {self.broker_error}")
        held = self.why_held()
        return Answer(not held, held or alive.reason)

    def _does(self) -> str:
        running = self.pool.running() if self.pool else []
        if not running:
            return "waits for tasks"
        since = f"{max(running):.0f} s"
        if len(running) == 1:
            return "has just begun a task" if since == "0 s" else f"has run a task for {since}"
        return f"runs {len(running)} tasks, {'all just begun' if since == '0 s' else f'the longest for {since}'}"

    def _stuck(self) -> str:
        limit, pool = self.limits.stuck, self.pool
        if limit is None or pool is None:
            return ""
        running, size = pool.running(), pool.size()
        if size and sum(each > limit for each in running) >= size:
            which = "the one task" if size == 1 else f"each of the {size} tasks"
            return f"{which} that may run at a time has run for more than {limit:g} s (--stuck-after)"
        if pool.begun() != self._begun or pool.due() <= len(running) or len(running) >= size:
            self._begun, self._begun_at = pool.begun(), self.clock()
        if self.clock() - self._begun_at > limit:
            return f"the pool has begun no task for {limit:g} s, although it has room and tasks wait (--stuck-after)"
        return ""

    def _unconnected(self) -> str:
        if self._unheard(self._phase_since) > self.limits.reconnect:
            return f"has had no connection for {self.clock() - self._phase_since:.0f} s, although the broker answers"
        return ""

    def _deaf(self) -> str:
        silent = self.clock() - self._turned
        if self._is_full() or self._unheard(self._turned) <= self.limits.loop:
            return ""
        return f"its loop has not come around for {silent:.0f} s"

    def _stalled(self) -> str:
        now = self.clock()
        if self._waits_since is None or now - self._looked > MISSING * self.limits.look:
            return ""
        seconds = now - self._waits_since
        if seconds <= self.limits.stall:
            return ""
        full = ", ".join(f'"{name}"' for name in self._waiting)
        return f"has taken nothing for {seconds:.0f} s, although it has room and messages wait in {full}"
