from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry
from celery.schedules import crontab, schedule

from tasktools.beat.missed import expired_at

LAST = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)


def entry(app: Celery, every: Any, now: datetime, **options: Any) -> ScheduleEntry:
    """Return an entry that last ran at LAST."""
    every.nowfun = lambda: now
    return ScheduleEntry(name="e", schedule=every, last_run_at=LAST, options=options, app=app)


def after(**units: float) -> datetime:
    return LAST + timedelta(**units)


@pytest.mark.parametrize("expires", [60, 60.0, timedelta(minutes=1)])
@pytest.mark.parametrize(
    ("late", "noted"),
    [
        (0, None),
        (59, None),
        (60, None),
        (61, after(hours=1)),
        (3599, after(hours=1)),
        (3600, None),
        (3661, after(hours=2)),
        (7261, after(hours=3)),
    ],
)
def test_interval__the_last_missed_time_counts(shop: Celery, expires: Any, late: float, noted: datetime | None) -> None:
    now = after(hours=1, seconds=late)
    assert expired_at(entry(shop, schedule(3600), now, expires=expires), now) == noted


@pytest.mark.parametrize(
    ("now", "is_wanted"),
    [
        (after(hours=1, seconds=30), True),
        (after(hours=1, seconds=90), False),
        (after(hours=5, seconds=30), True),
        (after(hours=5, seconds=90), False),
    ],
)
def test_crontab__the_last_missed_time_counts(shop: Celery, now: datetime, is_wanted: bool) -> None:
    found = expired_at(entry(shop, crontab(minute=0), now, expires=60), now)
    assert found == (None if is_wanted else now)


@pytest.mark.parametrize("expires", [None, 0, -5, True, "60", float("nan"), LAST, [60]], ids=repr)
def test_expires_that_says_nothing__the_run_is_wanted(shop: Celery, expires: Any) -> None:
    now = after(days=3, minutes=7)
    assert expired_at(entry(shop, schedule(3600), now, expires=expires), now) is None
    assert expired_at(entry(shop, crontab(minute=0), now, expires=expires), now) is None


def test_no_expires__the_run_is_wanted(shop: Celery) -> None:
    assert expired_at(entry(shop, schedule(3600), after(days=3)), after(days=3)) is None


class Odd(schedule):
    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        raise ZeroDivisionError


def test_schedule_class_that_raises__the_run_is_wanted(shop: Celery) -> None:
    now = after(days=3)
    assert expired_at(entry(shop, Odd(3600), now, expires=60), now) is None


def test_schedule_class_of_the_project__is_asked(shop: Celery) -> None:
    """Its period is not that of an interval."""

    class Own(schedule):
        pass

    now = after(hours=5, minutes=10)
    found = expired_at(entry(shop, Own(3600), now, expires=60), now)
    assert found in (now, None)
    assert expired_at(entry(shop, Own(3600), after(minutes=50), expires=60), after(minutes=50)) is None
