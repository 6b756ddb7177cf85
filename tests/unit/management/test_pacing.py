"""--rate and --max-queue: when the next batch may go."""

from __future__ import annotations

from typing import Any

import pytest

from tasktools.management import pacing
from tasktools.management.pacing import QUEUE_PERIOD, Pace


class Clock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Queue:
    """A publisher that sees these lengths of its queue, and a meter that notes what is waited for."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = list(lengths)
        self.waited: list[str] = []

    def length(self, queue: str) -> int:
        return self.lengths.pop(0)

    def waits(self, what: str) -> None:
        self.waited.append(what)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pacing, "time", made)
    return made


def send(pace: Pace, clock: Clock, batches: int, calls: int, queue: Any = None) -> list[float]:
    went = []
    for _ in range(batches):
        pace.wait(queue, ["celery"] if queue else [], calls, queue)
        went.append(round(clock.now - 100, 3))
    return went


def test_rate__is_that_of_the_batches(clock: Clock) -> None:
    pace = Pace(10, None)
    assert pace.batch_size(500) == 2
    assert send(pace, clock, 4, 2) == [0, 0.2, 0.4, 0.6]


@pytest.mark.parametrize("before", [0, 3])
def test_rate__a_silence_is_not_made_up_for(clock: Clock, before: int) -> None:
    pace = Pace(10, None)
    send(pace, clock, before, 2)
    clock.now = 108.0
    assert send(pace, clock, 4, 2) == [8, 8.2, 8.4, 8.6]


def test_rate__holds_after_a_queue_that_was_too_long(clock: Clock) -> None:
    pace, queue = Pace(10, 5), Queue(0, 6, 6, 6, 5, 0, 0)
    assert send(pace, clock, 4, 2, queue) == [0, 0.2 + 3 * QUEUE_PERIOD, 1.9, 2.1]
    assert len(queue.waited) == 3


def test_no_rate__does_not_wait(clock: Clock) -> None:
    pace = Pace(None, None)
    assert pace.batch_size(500) == 500
    assert send(pace, clock, 3, 500) == [0, 0, 0]
