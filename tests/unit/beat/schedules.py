"""Schedules of every kind, and schedulers whose clock a test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import celery.beat
import pytest
from celery import Celery
from celery.schedules import BaseSchedule, crontab, maybe_schedule, schedstate, schedule, solar

from tasktools.beat.ledger import Tick
from tasktools.beat.records import LastRun
from tasktools.beat.scheduler import Scheduler
from tasktools.beat.times import Dial, Times, Unanswered, collected

UTC = timezone.utc


class Pulse(BaseSchedule):
    """A class of a project's own: at 7 and 37 minutes past each hour, and at once if that was missed."""

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        last = self.maybe_make_aware(last_run_at).astimezone(UTC)
        now = self.maybe_make_aware(self.now()).astimezone(UTC)
        coming = self._after(last)
        if coming <= now:
            return schedstate(True, (self._after(now) - now).total_seconds())
        return schedstate(False, min((coming - now).total_seconds(), 600))  # it wants to be asked often

    def _after(self, at: datetime) -> datetime:
        hour = at.replace(minute=0, second=0, microsecond=0)
        times = (hour + timedelta(hours=more, minutes=minute) for more in (0, 1) for minute in (7, 37))
        return next(time for time in times if time > at)


def schedules() -> dict[str, Any]:
    """Return 30 schedules by name, each with what it is made of."""
    return {
        "number": 1800,
        "fraction": 450.5,
        "timedelta": timedelta(minutes=20),
        "day": timedelta(days=1),
        "interval": schedule(5400),
        "relative minutes": schedule(timedelta(minutes=10), relative=True),
        "relative hours": schedule(timedelta(hours=2), relative=True),
        "relative days": schedule(timedelta(days=1), relative=True),
        "each minute": crontab(),
        "minute": crontab(minute=5),
        "minutes": crontab(minute=[0, 20, 40]),
        "minute list": crontab(minute="1,13,30-45,50-59/2"),
        "minute step": crontab(minute="*/15"),
        "minute step 7": crontab(minute="*/7"),
        "half hours": crontab(minute="0,30", hour="1-3"),
        "night": crontab(minute=30, hour=2),
        "quarter": crontab(minute=15, hour=2),
        "one": crontab(minute=30, hour=1),
        "three": crontab(minute=0, hour=3),
        "hour range": crontab(minute=10, hour="22-4"),
        "hour step": crontab(minute=0, hour="*/5"),
        "hour list": crontab(minute=45, hour="0,8-17/2"),
        "weekdays": crontab(minute=30, hour=7, day_of_week="mon-fri"),
        "weekend": crontab(minute=30, hour=2, day_of_week="sat,sun"),
        "sundays": crontab(minute=0, hour="*/3", day_of_week="sunday"),
        "day of month": crontab(minute=30, hour=2, day_of_month="1-7,24-31"),
        "days and weekday": crontab(minute=20, hour=2, day_of_month="1-7,24-31", day_of_week=0),
        "months": crontab(minute=40, hour=2, month_of_year="*/2,3-5,11"),
        "sunset": solar("sunset", 52.5, 13.4),
        "own class": Pulse(),
    }


#: Each zone with moments in 2026 at which its clocks change: forward, back. India has none: the same moments as Berlin.
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-10-03T15:30", "2026-04-04T15:00"),
    "Asia/Kolkata": ("2026-03-29T01:00", "2026-10-25T01:00"),
}


def app_in(zone: str) -> Celery:
    app = Celery("zones", set_as_current=False, broker="memory://", backend="disabled://")
    app.conf.timezone = zone
    app.conf.beat_max_loop_interval = 300
    return app


class FakeClock:
    def __init__(self, at: datetime, zone: Any) -> None:
        self.at = at
        self.zone = zone

    def now(self) -> datetime:
        return self.at.astimezone(self.zone)

    def time(self) -> float:
        return self.at.timestamp()

    def follow(self, schedule: Any) -> Any:
        schedule.nowfun = self.now
        return schedule


Sent = list[tuple[str, datetime]]


def celerys(app: Celery, clock: FakeClock, entries: Mapping[str, Any]) -> tuple[Any, Sent]:
    """Return Celery's own scheduler by this clock, and the list of what it sends."""
    sent: Sent = []
    made: Any = celery.beat.Scheduler(app, lazy=True)
    made.producer = None
    made.apply_entry = lambda entry, producer=None: sent.append((entry.name, clock.at))
    for name, each in entries.items():
        kept = clock.follow(maybe_schedule(each, app=app))
        made.schedule[name] = celery.beat.ScheduleEntry(name, "task", clock.now(), schedule=kept, app=app)
    return made, sent


def ours(
    app: Celery, clock: FakeClock, entries: Mapping[str, Any], kept: Mapping[str, LastRun] | None = None
) -> tuple[Any, Sent]:
    """Return our own scheduler by this clock, in charge and without a broker, and the list of what it sends.

    `kept` is what the broker keeps of the entries.
    """
    sent: Sent = []

    def send(ticks: Sequence[Tick]) -> float:
        sent.extend((tick.after.name, clock.at) for tick in ticks if tick.call is not None)
        return 0.0

    def take_charge(begin: Callable[..., LastRun], names: Iterable[str]) -> dict[str, LastRun]:
        return {name: begin(name, (kept or {}).get(name)) for name in names}

    app.conf.result_expires = None
    fields = {name: each if isinstance(each, dict) else {"schedule": each} for name, each in entries.items()}
    app.conf.beat_schedule = {name: {"task": "task", **each} for name, each in fields.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasktools.beat.scheduler.Clock", lambda zone: clock)
        made: Any = Scheduler(app)
    made.ledger.send, made.ledger.take_charge = send, take_charge
    made.leadership.is_due, made.leadership.pause = (lambda: False), (lambda: 300.0)
    return made, sent


def simulate(made: Any, clock: FakeClock, until: datetime) -> None:
    """Run a scheduler as celery.beat.Service does, up to `until`."""
    while clock.at < until:
        clock.at += timedelta(seconds=max(made.tick() or 0, 0.01))


def next_times(schedule: Any, last_run: datetime | None, now: datetime, app: Celery, count: int) -> Times:
    """Return the next `count` times of a schedule that ran last at `last_run`; with None, the schedule begins at `now`."""
    try:
        dial = Dial(celery.beat.ScheduleEntry(schedule=schedule, last_run_at=now, app=app), app)
    except Unanswered as error:
        return Times(fault=error.sentence)
    dial.set_back(last_run or now)
    return collected(dial, now, count)
