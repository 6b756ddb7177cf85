from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery.schedules import crontab, schedule

from tasktools.beat.clock import JITTER, Clock
from tasktools.brokers.lease import ServerTime

TOKYO = timezone(timedelta(hours=9))


class Machine:
    """The clocks of a machine, which a test sets."""

    wall = 1000.0
    monotonic = 50.0

    def clock(self) -> Clock:
        return Clock(TOKYO, wall=lambda: self.wall, monotonic=lambda: self.monotonic)


def server(unix: float, monotonic: float, within: float = 0.0) -> ServerTime:
    return ServerTime(unix=unix, monotonic=monotonic, within=within)


def test_clock__begins_with_that_of_the_machine_and_ignores_that_this_one_is_set() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.time() == 1000
    machine.monotonic += 10
    machine.wall -= 3600
    assert clock.time() == 1010
    assert clock.ahead() == -3610
    assert clock.now() == datetime(1970, 1, 1, 9, 16, 50, tzinfo=TOKYO)
    assert clock.now().utcoffset() == timedelta(hours=9)


def test_adopt__goes_by_the_server() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.adopt(None) == 0
    assert clock.adopt(server(4600, 50)) == 3600
    assert clock.time() == 4600
    machine.monotonic += 5
    assert clock.time() == 4605
    assert clock.ahead() == -3605
    assert clock.adopt(server(995, 45)) == -3600
    assert clock.time() == 1005


@pytest.mark.parametrize("within", [0.0, 2.0])
@pytest.mark.parametrize("side", [1, -1])
def test_adopt__a_difference_that_the_journey_explains_is_none(within: float, side: int) -> None:
    clock = Machine().clock()
    assert clock.adopt(server(1000 + side * (within + JITTER * 0.9), 50, within)) == 0
    assert clock.time() == 1000
    change = side * (within + JITTER * 1.1)
    assert clock.adopt(server(1000 + change, 50, within)) == pytest.approx(change)
    assert clock.time() == pytest.approx(1000 + change)


def test_follow__a_copy_goes_by_this_clock() -> None:
    clock = Machine().clock()
    theirs = crontab(minute="*/5", hour=3)
    mine = clock.follow(theirs)
    assert (mine.minute, mine.hour) == (theirs.minute, theirs.hour)
    assert mine is not theirs
    assert mine.now() == clock.now()
    assert theirs.nowfun is None
    assert clock.follow(mine) is mine


def test_follow__keeps_all_that_a_class_has() -> None:
    class Own(schedule):
        def __init__(self, seconds: float, *, more: str, app: Any) -> None:
            super().__init__(seconds, app=app)
            self.more = more

    app: Any = object()
    mine = Machine().clock().follow(Own(5, more="x", app=app))
    assert (mine.seconds, mine.more, mine.app) == (5, "x", app)


def test_follow__what_has_a_clock_of_its_own_or_cannot_be_copied_stays() -> None:
    class Slotted:
        __slots__ = ()

    own, slotted = schedule(5, nowfun=lambda: datetime(2020, 1, 1, tzinfo=TOKYO)), Slotted()
    clock = Machine().clock()
    assert clock.follow(own) is own
    assert clock.follow(slotted) is slotted
