from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc, ScheduleEntry
from celery.schedules import BaseSchedule, crontab, schedule

from tasktools.beat.choice import OURS
from tasktools.beat.entries import Planned
from tasktools.beat.outlook import GRACE, EntryInfo, View, grace_of, outlook
from tasktools.beat.records import LastRun
from tests.unit.beat.schedules import UTC, app_in

NOW = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)

PERSISTENT = "celery.beat:PersistentScheduler"


@pytest.fixture
def app() -> Celery:
    made = app_in("Europe/Berlin")

    @made.task(name="shop.add", shared=False)
    def add(x, y):
        return x + y

    return made


def planned(app: Celery, each: Any, source: str = "settings", **fields: Any) -> Planned:
    fields = {"task": "shop.add", "args": (1, 2), "last_run_at": NOW, **fields}
    return Planned(name="x", key="x", entry=ScheduleEntry("x", schedule=each, app=app, **fields), source=source)


def look(
    app: Celery, each: Planned, kept: Mapping[str, LastRun] | None, scheduler: str = OURS, **view: Any
) -> EntryInfo:
    [found] = outlook(app, scheduler, [each], kept, View(now=NOW, **view))
    return found


def ago(seconds: float, count: int = 1) -> dict[str, LastRun]:
    return {"x": LastRun(at=NOW - timedelta(seconds=seconds), count=count, task_id="id" if count else "")}


def times(found: EntryInfo) -> list[float]:
    """Return the next times, in seconds from NOW on."""
    return [(time.at - NOW).total_seconds() for time in found.next]


def test_outlook__of_an_entry_that_has_run(app: Celery) -> None:
    options = {"queue": "slow", "expires": 5}
    found = look(app, planned(app, 30, kwargs={"k": 1}, options=options), ago(10), count=2)
    assert times(found) == [20, 50]
    assert (found.name, found.task, found.when, found.source) == ("x", "shop.add", "every 30 s", "settings")
    assert (found.last_run, found.last_id, found.runs) == (NOW - timedelta(seconds=10), "id", 1)
    assert (found.args, found.kwargs, found.queue, found.expires) == ((1, 2), {"k": 1}, "slow", 5)
    assert (found.overdue_since, found.enabled, found.fault) == (None, True, "")


def test_outlook__of_an_entry_that_beat_has_only_seen(app: Celery) -> None:
    found = look(app, planned(app, 30), ago(10, count=0))
    assert (times(found), found.last_run, found.runs) == ([20], None, 0)


def test_outlook__of_an_entry_that_beat_does_not_know(app: Celery) -> None:
    found = look(app, planned(app, 30), {})
    assert (times(found), found.last_run, found.runs) == ([30], None, 0)
    assert look(app, planned(app, 30), {}, PERSISTENT).runs is None


@pytest.mark.parametrize(
    ("late", "first", "overdue"), [(0, 0, None), (GRACE, 20, None), (GRACE + 1, 0, -GRACE - 1), (3600, 0, -3600)]
)
def test_outlook__is_overdue_after_a_grace(app: Celery, late: float, first: float, overdue: float | None) -> None:
    found = look(app, planned(app, 30), ago(30 + late))
    assert times(found) == [first]
    assert found.overdue_since == (None if overdue is None else NOW + timedelta(seconds=overdue))


def test_outlook__the_grace_is_as_long_as_a_scheduler_keeps_runs_to_itself(app: Celery) -> None:
    assert grace_of(app, PERSISTENT) == GRACE + 180
    assert grace_of(app, "redbeat.RedBeatScheduler") == GRACE
    found = look(app, planned(app, 30), ago(45), PERSISTENT)
    assert (times(found), found.overdue_since) == ([15], None)
    assert look(app, planned(app, 30), ago(300), PERSISTENT).overdue_since is not None
    app.conf.beat_sync_every = 1
    assert grace_of(app, PERSISTENT) == GRACE


def test_outlook__of_an_entry_that_knows_its_last_run(app: Celery) -> None:
    own = planned(app, 30, "Own", last_run_at=NOW - timedelta(seconds=10), total_run_count=7)
    found = look(app, own, None, "celery.beat:Scheduler")
    assert (times(found), found.runs, found.last_id) == ([20], 7, "")


def test_outlook__leaves_out_what_our_scheduler_drops(app: Celery) -> None:
    found = look(app, planned(app, 30, options={"expires": 10}), ago(57))
    assert times(found) == [3]


@pytest.mark.parametrize(
    ("at", "first"),
    [
        (NOW + timedelta(minutes=10), 600 + 20),
        (NOW + timedelta(days=400), 400 * 86400 + 30),  # too many runs until then: it begins there
        (NOW - timedelta(days=1), -86400 + 30),
    ],
)
def test_outlook__as_seen_from_another_time(app: Celery, at: datetime, first: float) -> None:
    found = look(app, planned(app, 30), ago(10), at=at)
    assert times(found) in ([first], [first - 30])
    assert found.next[0].at >= at
    assert found.overdue_since is None


def test_outlook__as_seen_from_the_second_hour_that_comes_twice(app: Celery) -> None:
    """As beat does it that has run until then: it is not asked in that hour."""
    at = datetime(2026, 10, 25, 1, 20, tzinfo=UTC)
    found = look(app, planned(app, crontab(minute="*/10")), ago(10), at=at)
    assert [time.at.isoformat() for time in found.next] == ["2026-10-25T03:00:00+01:00"]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"task": "shop.none"}, 'its task "shop.none" is not registered'),
        ({"args": (1,)}, "its arguments do not fit \"shop.add\": missing a required argument: 'y'"),
    ],
)
@pytest.mark.parametrize("source", ["settings", "database"])
def test_outlook__of_an_entry_that_cannot_run(app: Celery, source: str, fields: dict[str, Any], fault: str) -> None:
    app.conf.beat_schedule = {"x": {"task": "shop.add", "schedule": 30, "args": (1, 2), **fields}}
    found = look(app, planned(app, 30, source, **fields), {})
    assert (found.fault, found.next) == (fault, ())
    assert found.hint


def test_outlook__of_an_entry_that_cannot_be_made(app: Celery) -> None:
    app.conf.beat_schedule = {"x": {"task": "shop.add", "schedule": "soon", "args": (1, 2)}}
    found = look(app, Planned(name="x", key="x", entry=None, source="settings"), {})
    assert (found.task, found.when, found.args, found.next) == ("shop.add", "", (1, 2), ())
    assert found.fault == "its schedule is 'soon', which is no schedule"


def test_outlook__of_an_entry_that_is_likely_to_fail(app: Celery) -> None:
    app.conf.beat_schedule = {"x": {"task": "shop.add", "schedule": 30, "args": (1, 2), "options": {"queu": "slow"}}}
    found = look(app, planned(app, 30), {})
    assert (times(found), found.fault, found.doubt) == ([30], "", 'nobody reads its option "queu"')


@pytest.mark.parametrize("view", [{}, {"at": NOW + timedelta(days=1)}])
@pytest.mark.parametrize("kept", [{}, ago(100)])
def test_outlook__of_a_schedule_that_raises(app: Celery, view: Any, kept: Any) -> None:
    found = look(app, planned(app, BaseSchedule()), kept, **view)
    assert found.fault == "it cannot say when it is due: NotImplementedError: NotImplementedError"


def test_outlook__of_a_schedule_that_no_copy_is_made_of(app: Celery) -> None:
    class Slotted(BaseSchedule):
        @property  # type: ignore[override]
        def app(self) -> Any:
            raise KeyError("no app")

    entry = SimpleNamespace(schedule=Slotted(), task="shop.add", args=(1, 2), kwargs={}, options={}, last_run_at=None)
    found = look(app, Planned(name="x", key="x", entry=entry, source="Own"), {})
    assert found.fault.startswith("it cannot say when it is due: ")


def test_outlook__of_a_switched_off_entry(app: Celery) -> None:
    off = planned(app, 30, "RedBeat")
    off.entry.enabled = False
    found = look(app, off, None, "celery.beat:Scheduler")
    assert (found.enabled, found.next, found.fault) == (False, (), "")


def test_outlook__does_not_make_lazy_arguments(app: Celery) -> None:
    made: list[int] = []
    lazy = BeatLazyFunc(made.append, 1)
    app.conf.task_routes = lambda name, args, kwargs, options, task=None, **_: {"queue": repr(args)}
    found = look(app, planned(app, 30, args=(lazy, 2)), {})
    assert (made, found.queue) == ([], "(None, 2)")


def test_outlook__without_a_queue(app: Celery) -> None:
    def route(*_: Any, **__: Any) -> None:
        raise ValueError("no route")

    app.conf.task_routes = route
    assert look(app, planned(app, schedule(30)), {}).queue == ""
