from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import celery
import pytest
from celery.beat import ScheduleEntry
from celery.schedules import BaseSchedule, crontab, maybe_schedule, schedule

from tasktools.beat.records import LastRun
from tasktools.beat.times import Dial, collected
from tests.unit.beat.schedules import CHANGES, UTC, FakeClock, app_in, celerys, next_times, ours, schedules, simulate

#: Those that run so often that two days of them take long.
OFTEN = {"number", "fraction", "timedelta", "relative minutes"} | {
    name for name in schedules() if name.startswith(("each minute", "minute"))
} - {"minute"}

BERLIN = ZoneInfo("Europe/Berlin")


#: Before Celery 5.7, an entry that is asked before it is due keeps Celery's scheduler from those behind it (celery#7649).
IN_ORDER = pytest.mark.skipif(celery.__version__ < "5.7", reason="Celery's scheduler makes entries wait for others")


@pytest.mark.parametrize("make", [pytest.param(celerys, marks=IN_ORDER), ours])
@pytest.mark.parametrize("span", ["hours", "days"])
@pytest.mark.parametrize(("zone", "moment"), [(zone, moment) for zone, both in CHANGES.items() for moment in both])
def test_next__equals_what_a_scheduler_does(make: Callable[..., Any], span: str, zone: str, moment: str) -> None:
    app = app_in(zone)
    change = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    before, after = {"hours": (100 / 60, 4), "days": (48, 72)}[span]
    begin, end = change - timedelta(hours=before), change + timedelta(hours=after)
    chosen = {name: each for name, each in schedules().items() if span == "hours" or name not in OFTEN}
    clock = FakeClock(begin, ZoneInfo(zone))
    scheduler, sent = make(app, clock, chosen)
    simulate(scheduler, clock, end)
    for name, each in schedules().items():
        if name in chosen:
            seen = [at for entry, at in sent if entry == name]
            found = next_times(maybe_schedule(each, app=app), begin, begin, app, len(seen) + 1)
            assert found.fault == ""
            *times, beyond = [time.at for time in found.times]
            for time, at in zip(times, seen, strict=True):
                assert abs((time - at).total_seconds()) < 1, name
            assert beyond > end - timedelta(seconds=1), name


def test_schedules__are_thirty_and_all_run() -> None:
    app = app_in("Europe/Berlin")
    now = datetime(2026, 6, 1, tzinfo=UTC)
    found = {name: next_times(maybe_schedule(each, app=app), now, now, app, 1) for name, each in schedules().items()}
    assert len(found) == 30
    assert [name for name, times in found.items() if len(times.times) != 1] == []


def berlin(hour: int, minute: int, day: str = "2026-03-28") -> datetime:
    return datetime.fromisoformat(f"{day}T{hour:02d}:{minute:02d}").replace(tzinfo=BERLIN)


def texts(times: Any) -> list[tuple[str, str]]:
    return [(time.at.isoformat(timespec="minutes"), time.note) for time in times.times]


def test_next__marks_a_time_that_does_not_exist() -> None:
    now = berlin(12, 0)
    found = next_times(crontab(minute=30, hour=2), now, now, app_in("Europe/Berlin"), 2)
    assert texts(found) == [
        ("2026-03-29T03:30+02:00", "02:30 does not exist on that day"),
        ("2026-03-30T02:30+02:00", ""),
    ]


def test_next__marks_a_time_that_comes_twice() -> None:
    now = berlin(12, 0, "2026-10-24")
    found = next_times(crontab(minute=30, hour=2), now, now, app_in("Europe/Berlin"), 2)
    assert texts(found) == [
        ("2026-10-25T02:30+02:00", "02:30 comes twice on that day: the first one"),
        ("2026-10-26T02:30+01:00", ""),
    ]


def test_next__marks_what_celery_sends_without_a_pause() -> None:
    """A crontab that ran in an hour that comes twice, in the second one, is due until that is over: so does Celery."""
    app, now = app_in("Europe/Berlin"), datetime(2026, 10, 25, 1, 5, tzinfo=UTC)  # 02:05 for the second time
    clock = FakeClock(now, BERLIN)
    scheduler, sent = celerys(app, clock, {"often": crontab(minute="*/10")})
    simulate(scheduler, clock, now + timedelta(seconds=1))
    assert len(sent) == 100
    found = next_times(crontab(minute="*/10"), now, now, app, 100)
    note = "02:10 comes twice on that day: it is sent again and again until the second one"
    assert {(time.at - now < timedelta(seconds=0.1), time.note) for time in found.times} == {(True, note)}


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (
            crontab(minute="*/10"),
            ["02:10+01:00", "02:20+01:00", "02:30+01:00", "02:40+01:00", "02:50+01:00", "03:00+01:00"],
        ),
        (crontab(minute=30, hour=2), ["02:30+01:00"]),
        (crontab(minute=0), ["03:00+01:00"]),
        (crontab(minute=5, hour="2,3"), ["03:05+01:00"]),
    ],
)
@pytest.mark.parametrize("begin", ["new", "late"])
def test_ours__goes_on_in_an_hour_that_comes_twice(each: Any, expected: list[str], begin: str) -> None:
    """Celery's would send thousands of messages, up to the end of that hour."""
    app, now = app_in("Europe/Berlin"), datetime(2026, 10, 25, 1, 5, tzinfo=UTC)  # 02:05 for the second time
    clock, last = FakeClock(now, BERLIN), now - timedelta(days=2)
    kept = {"x": LastRun(at=last, count=1)} if begin == "late" else None
    scheduler, sent = ours(app, clock, {"x": each}, kept)
    simulate(scheduler, clock, now + timedelta(minutes=61))
    entry = ScheduleEntry("x", "task", (last if kept else now).astimezone(BERLIN), schedule=each, app=app)
    found = collected(Dial(entry, app, is_ours=True), now, len(sent))
    times = [f"{at.astimezone(BERLIN):%H:%M}{at.astimezone(BERLIN).isoformat()[-6:]}" for _, at in sent]
    assert times == (["02:05+01:00"] if kept else []) + expected
    assert [int(time.at.timestamp()) for time in found.times] == [int(at.timestamp()) for _, at in sent]


def test_next__does_not_mark_an_interval() -> None:
    now = berlin(1, 30, "2026-03-29")
    found = next_times(schedule(3600), now, now, app_in("Europe/Berlin"), 1)
    assert texts(found) == [("2026-03-29T03:30+02:00", "")]


def test_next__is_now_for_what_is_late() -> None:
    now = berlin(12, 0)
    found = next_times(crontab(minute=0, hour=7), now - timedelta(days=3), now, app_in("Europe/Berlin"), 2)
    assert texts(found) == [("2026-03-28T12:00+01:00", ""), ("2026-03-29T07:00+02:00", "")]


def test_next__of_a_clock_in_another_zone() -> None:
    tokyo = crontab(minute=0, hour=9, nowfun=lambda: datetime.now(ZoneInfo("Asia/Tokyo")))
    now = datetime(2026, 6, 1, tzinfo=UTC)
    tokyo.tz = ZoneInfo("Asia/Tokyo")  # as django-celery-beat does
    assert texts(next_times(tokyo, now, now, app_in("Europe/Berlin"), 1)) == [("2026-06-02T02:00+02:00", "")]


@pytest.mark.parametrize("nowfun", [lambda: datetime.now(timezone.utc).replace(tzinfo=None), datetime.now])
def test_next__of_a_naive_clock(nowfun: Callable[[], datetime]) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    each = schedule(3600, nowfun=nowfun)
    found = next_times(each, now, now, app_in("Europe/Berlin"), 2)
    assert [time.at for time in found.times] == [now + timedelta(hours=1), now + timedelta(hours=2)]


def test_next__changes_nothing_of_the_schedule() -> None:
    app, now = app_in("Europe/Berlin"), berlin(12, 0)
    entry = ScheduleEntry("night", "task", now, schedule=crontab(minute=0), app=app)
    before = dict(vars(entry)), dict(vars(entry.schedule))
    assert len(collected(Dial(entry, app), now, 5).times) == 5
    assert (dict(vars(entry)), dict(vars(entry.schedule))) == before


class Broken(BaseSchedule):
    """A schedule whose answer is what `answer` returns."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        super().__init__()
        self.answer = answer

    def is_due(self, last_run_at: datetime) -> Any:
        return self.answer()


def raising() -> None:
    raise ValueError("no tides\x1b[31m today")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (raising, "it cannot say when it is due: ValueError: no tides\x1b[31m today"),
        (lambda: sys.exit(3), "it cannot say when it is due: SystemExit: 3"),
        (lambda: None, "its is_due returns None, not whether it is due and the seconds to its next time"),
        (lambda: (1, 2, 3), "its is_due returns (1, 2, 3), not whether it is due and the seconds to its next time"),
        (
            lambda: (False, "soon"),
            "its is_due returns (False, 'soon'), not whether it is due and the seconds to its next time",
        ),
        (
            lambda: (False, float("nan")),
            "its is_due returns (False, nan), not whether it is due and the seconds to its next time",
        ),
    ],
)
def test_next__of_a_schedule_that_fails(answer: Callable[[], Any], fault: str) -> None:
    now = datetime.now(UTC)
    found = next_times(Broken(answer), now, now, app_in("UTC"), 3)
    assert (found.times, found.fault) == ((), fault)


def test_next__of_no_schedule() -> None:
    now = datetime.now(UTC)
    found = next_times(BaseSchedule(), now, now, app_in("UTC"), 3)
    assert (found.times, found.fault) == ((), "it cannot say when it is due: NotImplementedError: NotImplementedError")


def test_next__of_a_clock_of_its_own() -> None:
    now = datetime.now(UTC)
    own = Broken(lambda: (False, 60))
    found = next_times(own, now, now, app_in("UTC"), 3)
    assert [time.at for time in found.times] == [now + timedelta(minutes=1)]
    assert found.fault == "its class goes by a clock of its own: no more than its next time is known"
    assert next_times(own, now, now + timedelta(days=1), app_in("UTC"), 3).times == ()


@pytest.mark.parametrize("answer", [(False, None), (False, 1e300), (False, float("inf"))])
def test_next__of_a_schedule_that_is_over(answer: tuple[bool, Any]) -> None:
    now = datetime.now(UTC)

    class Over(BaseSchedule):
        def is_due(self, last_run_at: datetime) -> Any:
            return answer if self.now() else ()

    found = next_times(Over(), now, now, app_in("UTC"), 3)
    assert (found.times, found.fault) == ((), "")


def test_next__of_a_schedule_that_is_asked_for_ever() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)

    class Never(BaseSchedule):
        def is_due(self, last_run_at: datetime) -> Any:
            return (False, 60 if self.now() else 0)

    found = next_times(Never(), now, now, app_in("UTC"), 1)
    assert found.fault == "it is not due before 2026-06-07 22:40, as often as it is asked"


def test_next__of_a_rare_day() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    leap = crontab(minute=0, hour=0, day_of_month=29, month_of_year=2, day_of_week=1)
    found = next_times(leap, now, now, app_in("UTC"), 1)
    assert [time.at.date().isoformat() for time in found.times] == ["2044-02-29"]


@pytest.mark.parametrize("each", [30, crontab(), crontab("0", "3"), schedule(3600, relative=True)])
@pytest.mark.parametrize("ago", [35, 57, 3601, 86400])
def test_next__leaves_out_what_our_scheduler_does_not_send(each: Any, ago: int) -> None:
    """A run whose expires has passed while no beat was in charge is not sent."""
    app, now = app_in("Europe/Berlin"), datetime(2026, 6, 1, 12, 0, 20, tzinfo=UTC)
    clock, last = FakeClock(now, BERLIN), now - timedelta(seconds=ago)
    fields = {"x": {"schedule": each, "options": {"expires": 10}}}
    scheduler, sent = ours(app, clock, fields, {"x": LastRun(at=last, count=1)})
    simulate(scheduler, clock, now + timedelta(hours=2))
    entry = ScheduleEntry("x", "task", last.astimezone(BERLIN), schedule=each, options={"expires": 10}, app=app)
    found = collected(Dial(entry, app, is_ours=True), now, len(sent) + 1)
    assert len(found.times) == len(sent) + 1
    for time, (_, at) in zip(found.times, sent, strict=False):
        assert abs((time.at - at).total_seconds()) < 1
    assert found.times[-1].at > clock.at - timedelta(seconds=1)
