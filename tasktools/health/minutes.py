"""What became of the tasks of all workers, minute by minute, in the broker: for the charts of the last hour.

Each worker adds its own numbers to two hashes of Redis or Valkey, one for each hour of the clock, which expire. A field is the
minute of that hour and what is counted, as in `07:succeeded`. Running times are counted by ranges.
"""

from __future__ import annotations

import math
import operator
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

#: How the names of the hashes begin; the app and the number of the hour since 1970 follow.
KEY = "tasktools:hour:"

#: How long a hash is kept after it was written last, in seconds: it is read for an hour after its own hour.
KEPT = 2 * 3600 + 300

#: What is counted; other ends of a task are not shown.
SUCCEEDED, FAILED, RETRIED = "succeeded", "failed", "retried"
STATES = (SUCCEEDED, FAILED, RETRIED)

#: The total of the running times, in milliseconds.
TOTAL = "ms"

#: The upper bounds of the ranges of running times, in seconds; the last range has none.
BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0)

#: How a range is called in a field; its number follows.
_RANGE = "r"
_PLACES = {f"{_RANGE}{place}": place for place in range(len(BOUNDS) + 1)}


@dataclass(kw_only=True)
class Minute:
    """A minute of all workers."""

    #: Its beginning, in seconds since 1970.
    at: int
    counts: Counter[str] = field(default_factory=Counter)
    #: How many tasks ran for how long, by BOUNDS.
    ranges: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    #: The total of the running times, in seconds.
    seconds: float = 0.0

    @property
    def ended(self) -> int:
        return sum(self.ranges)

    @property
    def mean(self) -> float | None:
        """How long a task ran on average, in seconds; None if none ended."""
        return self.seconds / self.ended if self.ended else None

    def most(self, share: float = 0.95) -> float | None:
        """Return within how many seconds this share of the tasks ended; None if none ended.

        It is the bound of a range, or less if the total does not allow that much: each task ran for at least the lower bound of
        its range, and those of the same range that are not quicker share what is left of the total. It may be a bit too high.
        """
        rank = math.ceil(round(share * self.ended, 6))  # of the task whose time is returned; the quickest has 1
        left = max(0.0, self.seconds - sum(map(operator.mul, (0.0, *BOUNDS), self.ranges)))
        passed = 0
        highest = max(BOUNDS[-1], self.seconds)
        for least, bound, count in zip((0.0, *BOUNDS), (*BOUNDS, highest), self.ranges, strict=True):
            passed += count
            if count and passed >= rank:
                longest = least + left / (passed - rank + 1) if self.seconds else bound
                return min(bound, longest or bound)
        return None


class Minutes:
    """Counts in this process until somebody takes the numbers away to write them; from any thread."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        #: By the number of the minute since 1970 and the field.
        self._counts: Counter[tuple[int, str]] = Counter()

    def ended(self, state: str, seconds: object) -> None:
        """Count a task that has ended, or that is tried again. Its running time may be unknown."""
        if state not in STATES:
            return
        minute = int(self._now() // 60)
        with self._lock:
            self._counts[minute, state] += 1
            if isinstance(seconds, (int, float)):
                self._counts[minute, f"{_RANGE}{bisect_left(BOUNDS, seconds)}"] += 1
                self._counts[minute, TOTAL] += max(0, round(seconds * 1000))

    def take(self) -> Counter[tuple[int, str]]:
        """Return what was counted since the last call."""
        with self._lock:
            taken, self._counts = self._counts, Counter()
        return taken

    def put_back(self, taken: Counter[tuple[int, str]]) -> None:
        """Count again what could not be written, if it would still be shown."""
        oldest = int(self._now() // 60) - 60
        with self._lock:
            self._counts.update({key: count for key, count in taken.items() if key[0] > oldest})


def hashes_of(app: Celery) -> str:
    """Return how the hashes of an app are called; the number of the hour follows. Several sites may share a database."""
    return f"{KEY}{app.main or 'celery'}:{app.conf.task_default_queue}:"


def writes(taken: Mapping[tuple[int, str], int], hashes: str) -> Iterator[tuple[str, str, int]]:
    """Yield the key, the field, and by how much to increase it. `hashes` is how the keys begin."""
    for (minute, what), count in sorted(taken.items()):
        if count:
            hour, place = divmod(minute, 60)
            yield f"{hashes}{hour}", f"{place:02}:{what}", count


def keys_of(now: float, hashes: str) -> tuple[str, str]:
    """Return the hashes that have the last 60 minutes: of the hour before this one, and of this one."""
    hour = int(now // 3600)
    return f"{hashes}{hour - 1}", f"{hashes}{hour}"


def minutes_of(hashes: Iterable[Mapping[bytes, bytes]], now: float) -> list[Minute]:
    """Return the last 60 minutes, the oldest one first; the last one has not ended. `hashes` are those of `keys_of`."""
    latest, hour = int(now // 60), int(now // 3600) - 1
    found = {number: Minute(at=number * 60) for number in range(latest - 59, latest + 1)}
    for start, fields in zip((hour * 60, hour * 60 + 60), hashes, strict=False):
        for name, value in fields.items():
            place, _, what = name.decode(errors="replace").partition(":")
            minute = (
                found.get(start + int(place)) if place.isdecimal() and place.isascii() and len(place) == 2 else None
            )
            if minute is not None and value.isdigit() and len(value) < 16:
                _note(minute, what, int(value))
    return list(found.values())


def _note(minute: Minute, what: str, count: int) -> None:
    """Take over a field. Anybody may have written others."""
    if what in STATES:
        minute.counts[what] = count
    elif what == TOTAL:
        minute.seconds = count / 1000
    elif (place := _PLACES.get(what)) is not None:
        minute.ranges[place] = count
