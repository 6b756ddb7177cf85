from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab, schedule

from tasktools.beat import doubled_hour

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = datetime(2026, 10, 25, 2, 0, tzinfo=BERLIN, fold=1)


class Fixed(crontab):
    """A crontab whose next time is ten minutes after the last run."""

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self.at = now

    def remaining_delta(self, last_run_at: Any, *args: Any, **kwargs: Any) -> Any:
        return last_run_at, timedelta(minutes=10), self.at


def asked(last: datetime, seconds: float, answer: Any = (True, 0)) -> Any:
    """Return the answer `seconds` before the time that is ten minutes after the last run, by the hands of a clock."""
    due = (last.replace(tzinfo=None) + timedelta(minutes=10)).replace(tzinfo=last.tzinfo, fold=last.fold)
    now = (due.astimezone(timezone.utc) - timedelta(seconds=seconds)).astimezone(last.tzinfo)
    return doubled_hour.ask(SimpleNamespace(schedule=Fixed(now), last_run_at=last), lambda entry: answer)


@pytest.mark.parametrize("seconds", [600, 0.5])
def test_ask__a_crontab_that_has_run_in_the_second_hour_waits_for_its_time_there(seconds: float) -> None:
    assert asked(SECOND, seconds) == (False, seconds)


@pytest.mark.parametrize("seconds", [0, -1])
def test_ask__it_is_due_at_that_time(seconds: float) -> None:
    assert asked(SECOND, seconds) == (True, 0)


def test_ask__what_is_not_due_is_left_alone() -> None:
    assert asked(SECOND, 600, (False, 7)) == (False, 7)


@pytest.mark.parametrize(
    "last",
    [
        SECOND.replace(fold=0),
        datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN, fold=1),
        datetime(2026, 6, 1, 2, 30, tzinfo=BERLIN, fold=1),
    ],
)
def test_ask__so_is_what_has_run_at_another_time(last: datetime) -> None:
    assert asked(last, 600) == (True, 0)


def test_ask__so_is_another_schedule() -> None:
    entry = SimpleNamespace(schedule=schedule(60), last_run_at=SECOND)
    assert doubled_hour.ask(entry, lambda entry: (True, 0)) == (True, 0)
