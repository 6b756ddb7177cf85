from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery.schedules import BaseSchedule, crontab, schedule, solar

from tasktools.beat.words import describe

CRONTABS = [
    ("* * * * *", "every minute"),
    ("*/15 * * * *", "every 15 min"),
    ("*/7 * * * *", "at 0, 7, 14, 21, 28, 35, 42, 49 and 56 min past every hour"),
    ("5 * * * *", "at 5 min past every hour"),
    ("0 * * * *", "every hour"),
    ("30 7 * * *", "at 07:30 every day"),
    ("30 7 * * 1-5", "at 07:30 on Monday to Friday"),
    ("30 7 * * mon-fri", "at 07:30 on Monday to Friday"),
    ("0 0 * * sunday", "at 00:00 on Sunday"),
    ("0 0 * * sat,sun", "at 00:00 on Saturday and Sunday"),
    ("0 0 * * fri,sat,sun", "at 00:00 on Friday to Sunday"),
    ("0 0 * * 0,3", "at 00:00 on Wednesday and Sunday"),
    ("0,30 8,20 * * *", "at 08:00, 08:30, 20:00 and 20:30 every day"),
    ("0,30 8-18 * * *", "every 30 min from 08:00 to 18:59"),
    ("10,20 8-18 * * *", "at 10 and 20 min past the hours 8 to 18"),
    ("* 8 * * *", "every minute from 08:00 to 08:59"),
    ("* 8,12 * * 1", "every minute in the hours 8 and 12 on Monday"),
    ("0 */3 * * *", "every 3 h"),
    ("0 */5 * * *", "at 0 min past the hours 0, 5, 10, 15 and 20"),
    ("0 0 1 * *", "at 00:00 on day 1 of the month"),
    ("0 0 1-7 * mon", "at 00:00 on Monday that is day 1 to 7 of the month"),
    ("0 0 1,15 1,7 *", "at 00:00 on day 1 and 15 of the month in January and July"),
    ("0 22 * 1-3 *", "at 22:00 every day in January to March"),
    ("0 0 2-31/9 12 *", "at 00:00 on day 2, 11, 20 and 29 of the month in December"),
    ("* * * 6 *", "every minute in June"),
]


@pytest.mark.parametrize(("fields", "words"), CRONTABS, ids=[fields for fields, _ in CRONTABS])
def test_describe__crontab(fields: str, words: str) -> None:
    assert describe(crontab.from_string(fields)) == words


def test_describe__fields_that_are_sets_of_numbers() -> None:
    assert describe(crontab(minute={0}, hour=[6, 18])) == "at 06:00 and 18:00 every day"


INTERVALS = [
    (30, "every 30 s"),
    (0.5, "every 0.5 s"),
    (90, "every 1 min 30 s"),
    (5400, "every 1 h 30 min"),
    (timedelta(days=2, seconds=1), "every 2 d 1 s"),
    (timedelta(0), "every 0 s"),
]


@pytest.mark.parametrize(("every", "words"), INTERVALS)
def test_describe__interval(every: Any, words: str) -> None:
    assert describe(schedule(every)) == words


def test_describe__relative_interval() -> None:
    assert describe(schedule(60, relative=True)) == "every 1 min, at round times"


def test_describe__solar() -> None:
    schedule: Any = object.__new__(solar)  # without the library ephem, which calculates
    schedule.event, schedule.lat, schedule.lon = "dawn_astronomical", 52.5, 13.4
    assert describe(schedule) == "at dawn astronomical in 52.5, 13.4"


class Own(BaseSchedule):
    def __repr__(self) -> str:
        return "<when\x1b the moon is full>"


class Odd(schedule):
    def is_due(self, last_run_at: Any) -> Any:
        return False, 1

    def __repr__(self) -> str:
        raise ValueError


class Once(BaseSchedule):
    clocked_time = datetime(2030, 1, 31, 12, tzinfo=timezone.utc)


class Zoned(crontab):
    """As that of django-celery-beat."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.tz = "Asia/Kolkata"


def test_describe__a_class_of_the_project() -> None:
    assert describe(Own()) == "<when\\x1b the moon is full>"
    assert describe(Odd(30)) == "a schedule of class Odd"
    assert describe(Once()) == "once, at 2030-01-31 12:00:00+00:00"
    assert describe(Zoned(minute="30", hour="7")) == "at 07:30 every day, Asia/Kolkata"
