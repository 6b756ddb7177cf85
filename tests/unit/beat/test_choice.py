from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.beat import PersistentScheduler, Scheduler

from tasktools.beat import choice
from tasktools.beat.choice import OURS, is_ours, is_set, keeps_file, load, require_scheduler, scheduler_of
from tasktools.beat.entries import entries_of
from tasktools.exceptions import ConfigurationError, UsageError

CELERYS = "celery.beat:PersistentScheduler"


@pytest.fixture
def redis(shop: Celery) -> Celery:
    """An app whose broker is a Redis."""
    shop.conf.broker_url = "redis://127.0.0.1:1/0"
    return shop


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "sentinel://127.0.0.1:1/0"])
def test_redis__ours(shop: Celery, url: str) -> None:
    shop.conf.broker_url = url
    assert scheduler_of(shop) == OURS


@pytest.mark.parametrize("url", ["memory://", "amqp://127.0.0.1:1//", "filesystem://"])
def test_other_broker__celery_s(shop: Celery, url: str) -> None:
    shop.conf.broker_url = url
    assert scheduler_of(shop) == CELERYS


def test_what_was_typed__counts(redis: Celery) -> None:
    assert scheduler_of(redis, "x:Y") == "x:Y"
    assert scheduler_of(redis, CELERYS) == CELERYS
    assert scheduler_of(redis, file="/tmp/schedule") == CELERYS
    assert scheduler_of(redis, "") == OURS


def test_eager_tasks__go_to_no_broker(redis: Celery) -> None:
    redis.conf.task_always_eager = True
    assert scheduler_of(redis) == CELERYS


def test_broker_that_cannot_be_read__is_reported_by_others(redis: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(app: Celery) -> Any:
        raise ConfigurationError("odd")

    monkeypatch.setattr(choice, "broker_of", refuse)
    assert scheduler_of(redis) == CELERYS


@pytest.mark.parametrize("value", [CELERYS, "x:Y"])
def test_scheduler_that_the_project_has_set__is_kept(value: str) -> None:
    """Even Celery's own: whoever writes it down wants it."""
    ways: list[Celery] = []
    for source in (
        {"beat_scheduler": value, "broker_url": "redis://127.0.0.1:1/0"},
        SimpleNamespace(beat_scheduler=value, broker_url="redis://127.0.0.1:1/0"),
    ):
        ways.append(Celery("a", set_as_current=False))
        ways[-1].config_from_object(source)
    ways.append(Celery("b", set_as_current=False))
    source = SimpleNamespace(CELERY_BEAT_SCHEDULER=value, CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    ways[-1].config_from_object(source, namespace="CELERY")
    ways.append(Celery("c", set_as_current=False, broker="redis://127.0.0.1:1/0"))
    ways[-1].conf.beat_scheduler = value
    ways.append(Celery("d", set_as_current=False, broker="redis://127.0.0.1:1/0"))
    ways[-1].conf.update(beat_scheduler=value)
    try:
        assert [scheduler_of(each) for each in ways] == [value] * 5
    finally:
        for each in ways:
            each.close()


def test_is_set__a_default_is_not(shop: Celery) -> None:
    assert not is_set(shop, "beat_scheduler")
    assert not is_set(shop, "beat_schedule_filename")
    shop.conf.beat_schedule_filename = "celerybeat-schedule"
    assert is_set(shop, "beat_schedule_filename")


def test_keeps_file() -> None:
    assert keeps_file(CELERYS)
    assert not keeps_file("celery.beat:Scheduler")
    assert not keeps_file(OURS)
    assert not keeps_file("nowhere:Nothing")


def test_load__a_name_that_a_distribution_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = [SimpleNamespace(name="mine", value=CELERYS)]
    monkeypatch.setattr(choice, "entry_points", lambda group: registered if group == "celery.beat_schedulers" else [])
    assert load("mine") is PersistentScheduler
    require_scheduler("mine", typed=True)


def test_scheduler_of_an_app_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django raises RuntimeError when its models are imported."""

    def refuse(name: str, **_: Any) -> None:
        raise RuntimeError("Model class x.Y doesn't declare an explicit app_label and isn't in INSTALLED_APPS.")

    monkeypatch.setattr(choice, "symbol_by_name", refuse)
    assert not is_ours("x:Y")
    assert not keeps_file("x:Y")
    with pytest.raises(UsageError, match=r'"x:Y" cannot be loaded\. RuntimeError: Model class') as refused:
        require_scheduler("x:Y", typed=True)
    assert refused.value.hint == "add its app to INSTALLED_APPS"


@pytest.mark.parametrize(
    ("name", "what"),
    [("os:path", "a module"), ("os:sep", "a str"), ("pathlib:Path", "Path")],
    ids=["module", "text", "class"],
)
def test_require_scheduler__that_is_none(name: str, what: str) -> None:
    with pytest.raises(UsageError) as refused:
        require_scheduler(name, typed=True)
    assert refused.value.sentence == f'"{name}" is no scheduler of beat: it names {what}.'
    assert refused.value.hint == "name a class with -S, as celery.beat:PersistentScheduler"


def make(**options: Any) -> Any:
    return Scheduler(**options)


def test_require_scheduler__a_function_that_makes_one(shop: Celery) -> None:
    require_scheduler(f"{__name__}:make", typed=True)
    assert [each.name for each in entries_of(shop, f"{__name__}:make")] == []


@pytest.mark.parametrize(
    ("typed", "kind", "hint"), [(True, UsageError, "with -S"), (False, ConfigurationError, "see CELERY_")]
)
def test_require_scheduler__that_cannot_be_loaded(typed: bool, kind: type[Any], hint: str) -> None:
    with pytest.raises(kind, match=r'"nowhere:Nothing" cannot be loaded\. ModuleNotFoundError: ') as refused:
        require_scheduler("nowhere:Nothing", typed=typed)
    assert hint in refused.value.hint
    assert type(refused.value) is kind
