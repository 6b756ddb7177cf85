"""What a worker knows of the paused queues and tasks: by a broadcast at once, and from the thread of pause_state.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tasktools.queues.pauses import QUEUE, TASK, Pause, utc_now
from tasktools.worker.pause_log import log_changes

#: The key of a pause (`Pause.key`).
Key = tuple[str, str]

#: How long a pause that is no longer kept may lack its broadcast: `resumequeue` removes it first, and says it then.
UNSAID = timedelta(seconds=5)


class Known:
    """The pauses that a worker knows. Every thread may use it."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._lock = threading.Lock()
        #: By `Pause.key`. It is replaced, never changed.
        self._pauses: dict[Key, Pause] = {}
        #: The pauses of which a look has found that they are no longer kept, and when, while nobody has said why.
        self._gone: dict[Key, tuple[Pause, datetime]] = {}
        #: The tasks that are no longer paused, while the worker's loop has not brought back what it put aside of them.
        self._ending: frozenset[str] = frozenset()
        #: How often a broadcast, or the loop, has changed it.
        self.changes = 0

    def holds(self, queue: str) -> bool:
        """Whether the queue is paused now."""
        return self._holds((QUEUE, queue))

    def holds_task(self, name: str) -> bool:
        """Whether the task is paused. If its pause is over, it is held until what was put aside is back: it is older."""
        return (TASK, name) in self._pauses or name in self._ending

    def _holds(self, key: tuple[str, str]) -> bool:
        pause = self._pauses.get(key)
        return pause is not None and not pause.is_over(self._now())

    def held(self, what: str = QUEUE) -> frozenset[str]:
        """Return the names of the queues, or of the tasks, that are paused."""
        return frozenset(name for kind, name in self._pauses if kind == what and (what == TASK or self.holds(name)))

    @property
    def ending(self) -> frozenset[str]:
        """The tasks that are no longer paused, and whose messages are to come back first."""
        return self._ending

    def ended(self, tasks: Collection[str]) -> None:
        """Hold these tasks no longer: what was put aside is back."""
        with self._lock:
            self._ending = self._ending.difference(tasks)
            self.changes += 1  # what is being read may be older

    def answer(self) -> dict[str, Any]:
        """Return what a worker answers to a broadcast: with its time, because it ends pauses by its own clock."""
        now = self._now().isoformat()
        return {"queues": sorted(self.held()), "tasks": sorted(self.held(TASK)), "now": now}

    @property
    def next_end(self) -> float | None:
        """In how many seconds the next pause ends by itself; None if none does."""
        now = self._now()
        ends = [each.until for each in self._pauses.values() if each.until is not None and each.until > now]
        return (min(ends) - now).total_seconds() if ends else None

    def change(self, put: Iterable[Pause], removed: Iterable[Pause]) -> None:
        """Take over what a broadcast says."""
        put, gone = list(put), {each.key for each in removed}
        with self._lock:
            before = self._pauses
            resumed = {key: each for key, (each, _) in self._gone.items() if key in gone}
            told = gone.union(each.key for each in put)
            self._gone = {key: each for key, each in self._gone.items() if key not in told}
            kept = {key: each for key, each in before.items() if key not in gone}
            self._pauses = after = kept | {each.key: each for each in put}
            self._end({name for what, name in gone if what == TASK})
            self.changes += 1
        log_changes(before | resumed, after, self._now(), is_told=True)

    def replace(self, pauses: Iterable[Pause], changes: int, left: Collection[str] = ()) -> bool:
        """Take over what was read, unless there was a change since `changes` were counted; return whether it was taken.

        `left` are the tasks that are not paused, and of which something is aside.
        """
        with self._lock:
            if self.changes != changes:
                return False
            before = self._pauses
            self._pauses = after = {each.key: each for each in pauses}
            self._end({name for what, name in before if what == TASK}.union(left))
            known = self._without_gone(before, after)
        log_changes(known, after, self._now(), is_told=False)
        return True

    def _without_gone(self, before: Mapping[Key, Pause], after: Mapping[Key, Pause]) -> dict[Key, Pause]:
        """Return what was known, without what may just have been resumed, and with what has been gone for long."""
        now = self._now()
        fresh = {key: each for key, each in before.items() if key not in after and not each.is_over(now)}
        gone = {key: (each, now) for key, each in fresh.items()} | self._gone
        late = {key: each for key, (each, since) in gone.items() if now - since >= UNSAID}
        self._gone = {key: each for key, each in gone.items() if key not in after and key not in late}
        return {key: each for key, each in before.items() if key not in fresh} | late

    def _end(self, tasks: Collection[str]) -> None:
        self._ending = frozenset(name for name in self._ending.union(tasks) if (TASK, name) not in self._pauses)
