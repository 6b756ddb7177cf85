"""Attempts -> figures by task name: counts, rates, percentiles, and what the last minute was like. Pure, and bounded."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from tasktools.events.attempts import Attempt

#: The percentiles are those of the last so many attempts of a task.
SAMPLE = 1_000

#: How many seconds the history has, and of how many of these the rate is the mean.
HISTORY = 60
RATE = 10

#: So many names are told apart; what comes then is counted under OTHERS.
MOST_NAMES = 500
OTHERS = "(others)"
UNNAMED = "-"


@dataclass(frozen=True, kw_only=True)
class Row:
    """The figures of one task. Times are in seconds, None if nobody has said them."""

    task: str
    succeeded: int
    #: Those that failed, were revoked or rejected.
    failed: int
    retried: int
    #: Ended a second.
    rate: float
    waited: tuple[float, float] | None
    ran: tuple[float, float] | None
    #: How many ended in each of the last HISTORY seconds, the newest at the end.
    history: tuple[int, ...]


class _Figures:
    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.waited: deque[float] = deque(maxlen=SAMPLE)
        self.ran: deque[float] = deque(maxlen=SAMPLE)
        self.history: deque[int] = deque([0], maxlen=HISTORY + 1)  # the last one is the second that has not ended


class Tally:
    """Counts attempts. `now` is a clock that never goes back, in seconds."""

    def __init__(self, now: float) -> None:
        self.began = self._second = now
        self._tasks: dict[str, _Figures] = {}

    def count(self, attempt: Attempt) -> None:
        name = attempt.task or UNNAMED
        figures = self._tasks.get(name)
        if figures is None:
            name = name if len(self._tasks) < MOST_NAMES else OTHERS
            figures = self._tasks.setdefault(name, _Figures())
        figures.states[attempt.state] += 1
        figures.history[-1] += 1
        if attempt.waited is not None:
            figures.waited.append(attempt.waited)
        if attempt.ran is not None:
            figures.ran.append(attempt.ran)

    def turn(self, now: float) -> None:
        """Begin a new second of the history for each one that has passed."""
        passed = int(now - self._second)
        self._second += passed
        for figures in self._tasks.values():
            figures.history.extend([0] * min(passed, HISTORY + 1))

    def rows(self) -> list[Row]:
        """Return the figures of each task."""
        seconds = max(1, min(RATE, int(self._second - self.began)))
        return [_row(name, figures, seconds) for name, figures in self._tasks.items()]


def _row(name: str, figures: _Figures, seconds: int) -> Row:
    states, whole = figures.states, tuple(figures.history)[:-1]
    return Row(
        task=name,
        succeeded=states["SUCCESS"],
        failed=sum(states[each] for each in ("FAILURE", "REVOKED", "REJECTED")),
        retried=states["RETRY"],
        rate=sum(whole[-seconds:]) / seconds,
        waited=percentiles(figures.waited),
        ran=percentiles(figures.ran),
        history=whole,
    )


def percentiles(sample: Sequence[float]) -> tuple[float, float] | None:
    """Return the median and the 95th percentile; None of an empty sample."""
    if not sample:
        return None
    if len(sample) == 1:
        return sample[0], sample[0]
    cuts = statistics.quantiles(sample, n=20, method="inclusive")
    return cuts[9], cuts[18]
