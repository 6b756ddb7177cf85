"""An entry is faulty exactly when Celery's beat fails at it, or would send without a pause."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from amqp.basic_message import Message
from celery import Celery, Task
from celery.beat import BeatLazyFunc, Scheduler
from celery.schedules import crontab
from celery.schedules import schedule as every
from kombu import Queue

from tasktools.beat.schedule import faults
from tasktools.beat.validation import Fault


class Own(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async([1], {}, expires=int(options.get("expires", 1)))


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.beat_scheduler = "celery.beat:Scheduler"

    @app.task(name="shop.add", shared=False)
    def add(x: Any, y: Any = 2) -> None: ...

    @app.task(name="shop.own", base=Own, shared=False)
    def own(x: Any) -> None: ...

    @app.task(name="shop.owns", shared=False)
    def owns(x: Any) -> None: ...

    @app.task(name="shop.placed", shared=False)
    def placed(x: Any, /) -> None: ...

    yield app
    app.close()


def found(app: Any, **given: Any) -> list[Fault]:
    app.conf.beat_schedule = {"nightly": {"task": "shop.add", "schedule": 60, "args": (1,), **given}}
    return list(faults(app))


def fails(app: Any) -> bool:
    """Whether beat cannot begin with the schedule, or cannot send its entry."""
    with contextlib.suppress(Exception):
        scheduler = Scheduler(app)
        entry = scheduler.schedule["nightly"]
        entry.is_due()
        scheduler.apply_async(entry)
        return False
    return True


NOW = datetime(2030, 1, 31, 18, tzinfo=timezone.utc)  # fixed: parallel processes must name the tests alike

OPTIONS = [
    *({"expires": each} for each in (10, 0.5, NOW + timedelta(1), "2030-01-01", "2030-01-01T00:00:00Z", None, True)),
    *(
        {"expires": each}
        for each in ("soon", timedelta(3), float("nan"), float("inf"), [5], 1e300, -1e300, 1e11, 10**400)
    ),
    *({"countdown": each} for each in (5, 0.5, None, "5", timedelta(1), float("inf"), 1e300, -1e300, 1e11)),
    *({"eta": each} for each in (NOW, "2030-01-01", date(2030, 1, 1), None, 10, timedelta(2))),
    *({"queue": each} for each in ("new", Queue("q"), None, 5, ["a"])),
    *({"priority": each} for each in (3, "5", 5.0, 300, -1, None)),
    *({"task_id": each} for each in ("a", UUID(int=1), None)),
    *({"routing_key": "x"}, {"shadow": "x"}, {"ignore_result": True}, {"retry": False}),
    *({"retry_policy": each} for each in ({"max_retries": 1}, None, 5)),
    *({"serializer": each} for each in ("json", "nosuch")),
    *({"compression": each} for each in ("zlib", "gzip", None, "nosuch")),
    *({"headers": each} for each in ({}, {"a": 1}, 5)),
    *({"args": (1,)}, {"kwargs": {"x": 2}}, {"producer": 1}, {1: 2}),
    *(["expires"], "queue", [], None, 5, {"tags": "x"}),
]
ARGUMENTS: list[dict[str, Any]] = [
    *({"args": each} for each in ([1], (1, 2), range(1), {1}, (BeatLazyFunc(int),), (NOW,))),
    *({"args": each} for each in ([], None, 16, "text", (object(),), ({1},), (timedelta(1),), (1, 2, 3))),
    *({"args": (), "kwargs": each} for each in ({"x": 1}, [1], "x", [("x", 1)], 5, {1: 2}, None, {"x": object()})),
]
SCHEDULES = [
    *(1, 0.5, 10**6, timedelta(minutes=1), crontab(hour=7), every(10), every(timedelta(1), relative=True)),
    *(float("nan"), float("inf"), -float("inf"), 1e300, timedelta.max, None, "10"),
]
KEYS: list[dict[str, Any]] = [
    *({"relative": True}, {"name": "other"}, {"last_run_at": NOW}, {"total_run_count": 3}),
    *({"expires": 10}, {"enabled": True}, {"option": {"queue": "a"}}, {"arg": (1,)}),
]


@pytest.mark.parametrize(
    "given",
    [
        *({"options": each} for each in OPTIONS),
        *ARGUMENTS,
        *({"schedule": each} for each in SCHEDULES),
        *KEYS,
        *({"task": "shop.own", "options": each} for each in ({"expires": "5"}, {"expires": None, "own": 1})),
        {"task": "shop.own", "args": (object(),)},
    ],
    ids=lambda given: re.sub(r" at 0x\w+", "", repr(given))[:60],
)
def test_faults__are_what_beat_fails_at(shop: Any, given: dict[str, Any]) -> None:
    refused = [fault for fault in found(shop, **given) if fault.kind not in ("unfit", "unused")]
    if "own" in given.get("task", ""):
        assert refused == []  # by what its class does on the way
    else:
        assert bool(refused) is fails(shop), refused


@pytest.mark.parametrize("schedule", [0, 0.0, -1, -0.5, 1e-9, timedelta(0), timedelta(-1), every(0), every(-5)])
def test_faults__a_schedule_without_a_pause(shop: Any, schedule: Any) -> None:
    (fault,) = found(shop, schedule=schedule)
    assert fault.kind == "schedule"
    assert fault.sentence.endswith(", at which it would be sent without a pause")


@pytest.mark.parametrize(
    ("given", "kind", "sentence", "hint"),
    [
        (
            {"expires": 10},
            "schedule",
            '"expires" is none of task, schedule, args, kwargs, options, relative',
            'write "options": {"expires": 10}',
        ),
        (
            {"option": {}},
            "schedule",
            '"option" is none of task, schedule, args, kwargs, options, relative',
            "did you mean options?",
        ),
        (
            {"enabled": False},
            "schedule",
            '"enabled" is none of task, schedule, args, kwargs, options, relative',
            "take it out",
        ),
        (
            {"options": {"expires": timedelta(hours=1)}},
            "options",
            'its option "expires" is datetime.timedelta(seconds=3600), which is not a number of seconds or a time',
            "expires takes a number of seconds or a time",
        ),
        (
            {"options": ["high"]},
            "options",
            "its options are ['high'], which is no dictionary of names",
            'write {"queue": ..., "expires": ...}',
        ),
        (
            {"options": {"expire": 10}},
            "unused",
            'nobody reads its option "expire"',
            "did you mean expires?",
        ),
        (
            {"options": {"priority": "high"}},
            "unused",
            "its option \"priority\" is 'high', which is not a whole number",
            "priority takes a whole number",
        ),
        (
            {"args": (16)},
            "arguments",
            "its args are 16, which is no list and no tuple",
            "write (16,) with a comma, or [16]",
        ),
        (
            {"args": {"x": 1}},
            "arguments",
            "its args are {'x': 1}, which is no list and no tuple",
            "write a list or a tuple",
        ),
        (
            {"args": (1,), "kwargs": [("y", 1)]},
            "arguments",
            "its kwargs are [('y', 1)], which is no dictionary of names",
            'write {"name": value}',
        ),
        *(
            ({"schedule": each}, "schedule", f"its schedule is {each!r}, {why}", "give seconds or a timedelta")
            for each, why in (
                (-1, "at which it would be sent without a pause"),
                (1e300, "which leads to no time"),
                (timedelta.max, "which leads to no time"),
            )
        ),
        (
            {"options": {"args": (1,)}},
            "options",
            'its option "args" is (1,), which is no option: apply_async gets it already',
            "leave it out: it belongs beside the options",
        ),
        (
            {"task": "shop.ownx"},
            "task",
            'its task "shop.ownx" is not registered',
            "did you mean shop.own or shop.owns?",
        ),
        (
            {"args": ({1},)},
            "arguments",
            'the arguments of shop.add cannot be sent by the serializer "json": Object of type set is not JSON serializable',
            "give plain values (numbers, text, lists, dictionaries), or set another CELERY_TASK_SERIALIZER",
        ),
    ],
)
def test_faults__say_what_is_meant(shop: Any, given: dict[str, Any], kind: str, sentence: str, hint: str) -> None:
    assert found(shop, **given) == [Fault(kind=kind, entry="nightly", sentence=sentence, hint=hint)]


def test_faults__an_iterator_is_used_up_at_the_first_tick(shop: Any) -> None:
    (fault,) = found(shop, args=iter([1]))
    assert (fault.kind, fault.hint) == ("arguments", "write a list or a tuple")


def report(x: Any) -> None: ...


def amqp_takes(**properties: Any) -> bool:
    headers = {"id": properties.get("correlation_id", "a")}
    try:
        Message("", application_headers=headers, **properties)._serialize_properties()
    except Exception:
        return False
    return True


@pytest.mark.parametrize("value", [0, 255, True, None, "5", 5.0, 256, -1])
def test_faults__a_priority_that_amqp_does_not_carry(value: Any) -> None:
    with Celery("shop", broker="amqp://", set_as_current=False) as app:
        app.task(report, name="shop.add", shared=False)
        assert [each.kind for each in found(app, options={"priority": value})] == ["options"] * (
            not amqp_takes(priority=value)
        )


@pytest.mark.parametrize("value", ["a", UUID(int=1)])
def test_faults__a_task_id_that_amqp_does_not_carry(value: Any) -> None:
    with Celery("shop", broker="amqp://", set_as_current=False) as app:
        app.task(report, name="shop.add", shared=False)
        assert bool(found(app, options={"task_id": value})) is not amqp_takes(correlation_id=value)


def test_faults__of_an_object_that_cannot_be_shown(shop: Any) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    (fault,) = found(shop, schedule=Odd())
    assert fault.sentence == "its schedule is an object of Odd, which is no schedule"


def test_faults__none_in_an_entry_that_is_any_mapping(shop: Any) -> None:
    shop.conf.beat_schedule = {"nightly": MappingProxyType({"task": "shop.add", "schedule": 60, "args": (1,)})}
    assert list(faults(shop)) == []


@pytest.mark.parametrize("eta", ["soon", 10])
def test_faults__an_eta_that_no_worker_reads(shop: Any, eta: Any) -> None:
    (fault,) = found(shop, options={"eta": eta})
    assert fault.kind == "options"


def test_faults__the_serializer_of_the_entry_counts(shop: Any) -> None:
    assert found(shop, args=({1},), options={"serializer": "pickle"}) == []


def test_faults__what_beat_cannot_keep_in_its_file(shop: Any) -> None:
    given = {"args": (BeatLazyFunc(lambda: 1),)}
    assert found(shop, **given) == []
    (fault,) = list(faults(shop, scheduler="celery.beat:PersistentScheduler"))
    assert fault.kind == "schedule"
    assert fault.sentence.startswith("beat cannot keep it in its file: Can't pickle")
    assert fault.hint == "name functions at the top of a module, and give plain values"


def test_faults__what_raises_when_it_is_pickled(shop: Any) -> None:
    class Odd:
        def __reduce__(self) -> Any:
            raise SystemExit(3)

    shop.conf.beat_schedule = {"nightly": {"task": "shop.own", "schedule": 60, "args": (Odd(),)}}
    (fault,) = list(faults(shop, scheduler="celery.beat:PersistentScheduler"))
    assert fault.sentence == "beat cannot keep it in its file: 3"


def test_faults__an_interrupt_is_no_fault(shop: Any) -> None:
    class Interrupting:
        def __reduce__(self) -> Any:
            raise KeyboardInterrupt

    shop.conf.beat_schedule = {"nightly": {"task": "shop.own", "schedule": 60, "args": (Interrupting(),)}}
    with pytest.raises(KeyboardInterrupt):
        list(faults(shop, scheduler="celery.beat:PersistentScheduler"))


def test_faults__of_another_scheduler_its_own_fields_are_none(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stored(Scheduler):
        Entry = dict

    monkeypatch.setattr("celery.beat.Stored", Stored, raising=False)
    assert found(shop, enabled=True, options={"expires": timedelta(1)}) != []
    assert list(faults(shop, scheduler="celery.beat:Stored")) == []


def test_faults__a_scheduler_that_is_installed_may_be_the_one(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.beat.choice.entry_points", lambda group: [EntryPoint("django", "a:B", group)])
    assert found(shop, enabled=True) == []
    assert len(list(faults(shop, scheduler="celery.beat:Scheduler"))) == 1


def test_faults__a_scheduler_that_is_a_django_app_and_not_in_installed_apps_is_not_the_one(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "django_extensions.schedulers:Scheduler"  # a package with apps.py
    monkeypatch.setattr("tasktools.beat.choice.entry_points", lambda group: [EntryPoint("django", value, group)])
    assert found(shop, enabled=True) == []
    monkeypatch.setattr("tasktools.beat.choice.apps.get_app_configs", list)
    assert len(found(shop, enabled=True)) == 1


def test_faults__installed_schedulers_are_looked_for_once_and_only_if_there_is_a_fault(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("tasktools.beat.choice.entry_points", lambda group: asked.append(group) or [])
    assert found(shop, options={"expires": 60}) == []
    assert asked == []
    assert len(found(shop, enabled=True, options={"expires": timedelta(1)})) == 2
    assert asked == ["celery.beat_schedulers"]


def test_faults__a_call_that_fits_needs_no_signature(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(task: Any) -> Any:
        raise AssertionError(task)

    monkeypatch.setattr("tasktools.beat.validation.signature_of", unread)
    assert found(shop, args=(1,), kwargs={"y": 3}) == []
    with pytest.raises(AssertionError):
        found(shop, args=(1, 2, 3))


def test_faults__arguments_that_celery_refuses_are_one_fault_even_if_no_serializer_takes_them(shop: Any) -> None:
    assert [each.kind for each in found(shop, args=(1, 2, object()))] == ["arguments"]


def test_faults__arguments_that_celery_sends_may_have_two(shop: Any) -> None:
    faulty = found(shop, task="shop.placed", args=(), kwargs={"x": object()})
    assert [each.kind for each in faulty] == ["unfit", "arguments"]
