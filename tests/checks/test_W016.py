from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import Task
from celery.schedules import crontab, schedule, solar

from tasktools import startup
from tasktools.checks.overlap import shortest
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ProjectError
from tasktools.project import Project
from tests.checks.conftest import found, ids


@pytest.fixture
def site(shop: Any) -> Any:
    """An app with a task that may run for ten minutes."""

    @shop.task(name="shop.report", shared=False, time_limit=600)
    def report() -> None: ...

    return shop


def scheduled(app: Any, when: Any, task: str = "shop.report", **options: Any) -> None:
    app.conf.beat_schedule = {"often": {"task": task, "schedule": when, "options": options}}


def test_W016__fires_if_the_task_may_run_for_longer_than_its_interval(site: Any) -> None:
    scheduled(site, 60)
    assert found(deploy=True) == [
        (
            "tasktools.W016",
            'The beat schedule\'s entry "often" is sent every 60 s without "expires", and its task may run for 600 s: '
            "runs that take longer than the interval pile up in the queue.",
            '"options": {"expires": 60}',
        )
    ]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (599, ["W016"]),
        (600, []),
        (timedelta(minutes=9), ["W016"]),
        (timedelta(minutes=10), []),
        (schedule(599), ["W016"]),
        (schedule(600), []),
        (crontab(), ["W016"]),
        (crontab(minute="*/5"), ["W016"]),
        (crontab(minute="*/10"), []),
    ],
)
def test_W016__compares_with_the_interval(site: Any, when: Any, expected: list[str]) -> None:
    scheduled(site, when)
    assert ids(deploy=True) == expected


def test_W016__is_for_deployment_alone(site: Any) -> None:
    """A limit is a safety net in most projects."""
    scheduled(site, 60)
    assert ids() == []


@pytest.mark.parametrize("expires", [50, 600])
def test_W016__is_silent_if_the_entry_expires(site: Any, expires: float) -> None:
    scheduled(site, 60, expires=expires)
    assert ids(deploy=True) == []


def task(app: Any, **options: Any) -> None:
    @app.task(name="shop.other", shared=False, **options)
    def other() -> None: ...


def test_W016__is_silent_if_the_task_expires(shop: Any) -> None:
    task(shop, time_limit=600, expires=60)
    scheduled(shop, 60, "shop.other")
    assert ids(deploy=True) == []


@pytest.mark.parametrize(
    ("options", "conf", "expected"),
    [
        ({}, {}, []),
        ({"soft_time_limit": 61}, {}, ["W016"]),
        ({"soft_time_limit": 60}, {}, []),
        ({"soft_time_limit": 300, "time_limit": 60}, {}, []),
        ({"soft_time_limit": 300}, {"task_time_limit": 600}, ["W016"]),
        ({}, {"task_time_limit": 600}, []),
        ({}, {"task_soft_time_limit": 600}, []),
        ({"time_limit": 600}, {"task_time_limit": 600}, []),
        ({"time_limit": 300}, {"task_time_limit": 600}, ["W016"]),
        ({"time_limit": "soon"}, {}, []),
    ],
)
def test_W016__the_limit_of_all_tasks_says_nothing_of_one(
    shop: Any, options: dict[str, Any], conf: dict[str, Any], expected: list[str]
) -> None:
    shop.conf.update(conf)
    task(shop, **options)
    scheduled(shop, 60, "shop.other")
    assert ids("W044", deploy=True) == expected


def test_W016__a_limit_of_the_entry_counts(shop: Any) -> None:
    task(shop)
    scheduled(shop, 60, "shop.other", soft_time_limit=600)
    assert ids(deploy=True) == ["W016"]


def test_W016__is_silent_for_a_task_that_may_send_itself_in_another_way(shop: Any) -> None:
    class Once(Task):  # type: ignore[type-arg]
        def apply_async(self, *args: Any, **kwargs: Any) -> Any:
            return super().apply_async(*args, **kwargs)

    task(shop, base=Once, time_limit=600)
    scheduled(shop, 60, "shop.other")
    assert ids(deploy=True) == []


def test_W016__is_silent_for_a_task_that_is_not_known(site: Any) -> None:
    scheduled(site, 60, "shop.unknown")
    assert ids(deploy=True) == ["W010"]


def test_W016__is_silent_if_the_tasks_cannot_be_loaded(
    site: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look at the tasks of the project's own app would make all of them."""
    project.found = Found(app=site)
    monkeypatch.setattr(startup, "load_tasks", lambda found: [ProjectError("A module is broken.", hint="fix it")])
    scheduled(site, 60)
    assert ids(deploy=True) == ["W002"]
    assert not site.finalized


@pytest.mark.parametrize("when", [True, "soon", None])
def test_W016__is_silent_for_an_interval_of_a_wrong_kind(site: Any, when: Any) -> None:
    scheduled(site, when)
    assert ids(deploy=True) == ["E012"]


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        (crontab(minute="0,20,50"), 600),
        (crontab(minute="0,50"), 600),
        (crontab(minute="0,40", hour="3"), 2400),
        (crontab(minute="5", hour="3"), 86400),
        (crontab(minute="5", hour="1,23"), 7200),
        (crontab(minute="0", hour="*/6"), 21600),
        (0.5, 0.5),
        (timedelta(days=1), 86400),
    ],
)
def test_shortest__is_the_shortest_time_between_two_runs(when: Any, seconds: float) -> None:
    assert shortest(when) == seconds


def test_shortest__other_schedules_are_not_known() -> None:
    class Every(schedule): ...

    assert shortest(solar("sunrise", 0, 0)) is None
    assert shortest(Every(60)) is None
    assert shortest(True) is None
