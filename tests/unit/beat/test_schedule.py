from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import crontab
from celery.schedules import schedule as every

from tasktools.beat import choice
from tasktools.beat.choice import keeps_file, require_scheduler
from tasktools.beat.schedule import faults
from tasktools.beat.validation import Fault
from tasktools.exceptions import ConfigurationError, UsageError


@pytest.fixture
def shop() -> Iterator[Any]:
    app = Celery("shop", set_as_current=False)

    @app.task(name="shop.reckon", shared=False)
    def reckon(x: int, y: int = 2) -> int:
        return x + y

    @app.task(name="elsewhere.wordy", bind=True, shared=False)
    def wordy(self: Any, word: str) -> str:
        return word

    yield app
    app.close()


@pytest.mark.parametrize(
    ("typed", "kind", "hint"),
    [
        (True, UsageError, "name a class with -S, as celery.beat:PersistentScheduler"),
        (False, ConfigurationError, "see CELERY_BEAT_SCHEDULER"),
    ],
)
def test_require_scheduler__one_that_cannot_be_loaded(
    typed: bool, kind: type[UsageError] | type[ConfigurationError], hint: str
) -> None:
    with pytest.raises(kind) as caught:
        require_scheduler("no_such.module:Scheduler", typed=typed)
    assert caught.value.sentence == (
        "The scheduler \"no_such.module:Scheduler\" cannot be loaded. ModuleNotFoundError: No module named 'no_such'"
    )
    assert caught.value.hint == hint
    with pytest.raises(kind) as caught:
        require_scheduler("celery.beat:Nothing\nthere", typed=typed)
    assert "\n" not in caught.value.sentence


def test_require_scheduler__by_the_name_that_a_distribution_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[EntryPoint]:
        assert group == "celery.beat_schedulers"
        return [EntryPoint("kept", "celery.beat:PersistentScheduler", group)]

    monkeypatch.setattr(choice, "entry_points", entry_points)
    require_scheduler("kept", typed=True)
    assert keeps_file("kept")
    with pytest.raises(UsageError):
        require_scheduler("unkept", typed=True)


@pytest.mark.parametrize("name", ["celery.beat:PersistentScheduler", "celery.beat.PersistentScheduler"])
def test_keeps_file__by_its_class(name: str) -> None:
    assert keeps_file(name)


@pytest.mark.parametrize("name", ["celery.beat:Scheduler", "celery.beat:heapq", "no_such:Class", "celery.beat:Nothing"])
def test_keeps_file__no_other(name: str) -> None:
    assert not keeps_file(name)


@pytest.mark.parametrize("value", [[1], "text", 5])
def test_faults__a_schedule_that_is_no_dictionary(shop: Any, value: Any) -> None:
    shop.conf.beat_schedule = value
    assert list(faults(shop)) == [
        Fault(
            kind="schedule",
            entry="*",
            sentence=f"the schedule is a {type(value).__name__}",
            hint='write CELERY_BEAT_SCHEDULE = {"name": {"task": ..., "schedule": ...}}',
        )
    ]


def test_faults__the_scheduler_of_the_settings_counts(shop: Any) -> None:
    lazy = {"task": "shop.reckon", "schedule": 10, "args": (BeatLazyFunc(lambda: 1),)}
    shop.conf.beat_scheduler = "celery.beat:Scheduler"
    assert found(shop, nightly=lazy) == []
    shop.conf.beat_scheduler = "celery.beat:PersistentScheduler"
    assert len(found(shop, nightly=lazy)) == 1
    shop.conf.beat_scheduler = "no_such:Class"
    assert found(shop, nightly={**lazy, "option": 1}) == []


def found(app: Any, **entries: Any) -> list[Fault]:
    app.conf.beat_schedule = entries
    return list(faults(app))


@pytest.mark.parametrize(
    "schedule",
    [10, 0.5, timedelta(minutes=1), crontab(hour=7), every(10)],
    ids=lambda each: type(each).__name__,
)
def test_faults__none_in_an_entry_that_can_run(shop: Any, schedule: Any) -> None:
    assert found(shop, fine={"task": "shop.reckon", "schedule": schedule, "args": (1,), "kwargs": {"y": 3}}) == []


def test_faults__self_of_a_bound_task_is_no_argument(shop: Any) -> None:
    assert found(shop, fine={"task": "elsewhere.wordy", "schedule": 10, "args": ["x"]}) == []


@pytest.mark.parametrize("schedule", [None, {}])
def test_faults__none_without_a_schedule(shop: Any, schedule: Any) -> None:
    shop.conf.beat_schedule = schedule
    assert list(faults(shop)) == []


def test_faults__a_task_that_is_not_registered(shop: Any) -> None:
    assert found(shop, nightly={"task": "shop.recon", "schedule": 10}) == [
        Fault(
            kind="task",
            entry="nightly",
            sentence='its task "shop.recon" is not registered',
            hint="did you mean shop.reckon?",
        )
    ]


def test_faults__a_task_that_is_nothing_like_a_registered_one(shop: Any) -> None:
    (fault,) = found(shop, nightly={"task": "xyzzy", "schedule": 10})
    assert fault.hint == (
        "manage.py showtasks lists the registered tasks; if other workers alone know it, silence this check"
    )


@pytest.mark.parametrize("entry", [{"schedule": 10}, {"task": None, "schedule": 10}])
def test_faults__no_task_at_all(shop: Any, entry: dict[str, Any]) -> None:
    (fault,) = found(shop, nightly=entry)
    assert (fault.kind, fault.sentence) == ("task", 'its task "None" is not registered')


def test_faults__a_task_that_is_no_name(shop: Any) -> None:
    (fault,) = found(shop, nightly={"task": ["shop.reckon"], "schedule": 10})
    assert fault.kind == "task"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "missing a required argument: 'x'"),
        ({"args": [1, 2, 3]}, "too many positional arguments"),
        ({"args": [1], "kwargs": {"z": 3}}, "got an unexpected keyword argument 'z'"),
        ({"args": [1], "kwargs": {"x": 1}}, "multiple values for argument 'x'"),
    ],
)
def test_faults__arguments_that_the_task_does_not_take(shop: Any, given: dict[str, Any], reason: str) -> None:
    assert found(shop, nightly={"task": "shop.reckon", "schedule": 10, **given}) == [
        Fault(
            kind="arguments",
            entry="nightly",
            sentence=f'its arguments do not fit "shop.reckon": {reason}',
            hint="shop.reckon is called with (x: int, y: int = 2)",
        )
    ]


@pytest.mark.parametrize("schedule", [None, "10", "* * * * *", True, [10]])
def test_faults__a_schedule_that_is_none(shop: Any, schedule: Any) -> None:
    assert found(shop, nightly={"task": "shop.reckon", "schedule": schedule, "args": [1]}) == [
        Fault(
            kind="schedule",
            entry="nightly",
            sentence=f"its schedule is {schedule!r}, which is no schedule",
            hint="give seconds, a timedelta, or a schedule of celery.schedules such as crontab(hour=7)",
        )
    ]


def test_faults__an_entry_that_is_no_dictionary(shop: Any) -> None:
    assert found(shop, nightly=("shop.reckon", 10)) == [
        Fault(
            kind="schedule",
            entry="nightly",
            sentence="it is no dictionary",
            hint='write {"task": ..., "schedule": ...}',
        )
    ]


def test_faults__each_of_an_entry_and_each_entry(shop: Any) -> None:
    kinds = [
        (fault.entry, fault.kind)
        for fault in found(
            shop,
            first={"task": "nope", "schedule": "x"},
            second={"task": "shop.reckon", "schedule": None},
            third={"task": "shop.reckon", "schedule": 1, "args": [1]},
        )
    ]
    assert kinds == [("first", "task"), ("first", "schedule"), ("second", "arguments"), ("second", "schedule")]


@pytest.mark.parametrize(
    ("scheduler", "keeps"),
    [
        ("celery.beat:PersistentScheduler", True),
        ("celery.beat.PersistentScheduler", True),
        ("celery.beat:Scheduler", False),
        ("celery.beat:ScheduleEntry", False),
        ("celery.beat:nope", False),
        ("no_such_module:Scheduler", False),
        ("", False),
    ],
)
def test_keeps_file__by_the_class(scheduler: str, keeps: bool) -> None:
    assert keeps_file(scheduler) is keeps
