"""What became of a worker's tasks, as numbers for Prometheus: counters and histograms by the name of the task.

Plain numbers, because prometheus_client's own counters would write into files if the site uses its multiprocess mode.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Container

#: The upper bounds of the buckets, in seconds.
BOUNDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

#: What a task is called whose name the worker does not know: anybody may send any name.
UNKNOWN = "unknown"


class Histogram:
    def __init__(self) -> None:
        #: How many values are in each bucket; the last one has no upper bound.
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Tally:
    """Counts; from any thread."""

    def __init__(self, known: Container[str]) -> None:
        """`known` are the names of the tasks that have numbers of their own."""
        self._known = known
        self._lock = threading.Lock()
        self.states: Counter[tuple[str, str]] = Counter()
        self.running: dict[str, Histogram] = {}
        self.waiting: dict[str, Histogram] = {}

    def count(self, name: object, state: str) -> None:
        with self._lock:
            self.states[self._name(name), state] += 1

    def waited(self, name: object, seconds: float) -> None:
        self._add(self.waiting, name, seconds)

    def ran(self, name: object, seconds: float) -> None:
        self._add(self.running, name, seconds)

    def copies(self) -> tuple[dict[tuple[str, str], int], dict[str, Histogram], dict[str, Histogram]]:
        """Return the states and both histograms as they are now."""
        with self._lock:
            return dict(self.states), _copied(self.running), _copied(self.waiting)

    def _add(self, histograms: dict[str, Histogram], name: object, seconds: float) -> None:
        with self._lock:
            histograms.setdefault(self._name(name), Histogram()).add(max(0.0, seconds))

    def _name(self, name: object) -> str:
        return name if isinstance(name, str) and name in self._known else UNKNOWN


def _copied(histograms: dict[str, Histogram]) -> dict[str, Histogram]:
    copies = {}
    for name, each in histograms.items():
        copies[name] = Histogram()
        copies[name].counts, copies[name].total = list(each.counts), each.total
    return copies
