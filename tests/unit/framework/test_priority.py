from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from tasktools.framework.priority import scale_of, scale_of_call


def app_of(url: str, **settings: Any) -> Any:
    app = Celery("shop", broker=url, set_as_current=False)
    app.conf.update(settings)
    return app


def scaled(app: Any) -> list[int]:
    """Return the broker's priorities of -100, -1, 0, 1 and 100."""
    scale = scale_of(app)
    assert scale is not None
    return [scale.of(each) for each in (-100, -1, 0, 1, 100)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [9, 4, 4, 4, 0]),
        ({"task_default_priority": 6}, [9, 6, 6, 6, 0]),
        ({"task_default_priority": 0}, [9, 0, 0, 0, 0]),
        ({"task_default_priority": 99}, [9, 4, 4, 4, 0]),
    ],
)
def test_scale__redis_takes_0_first(settings: dict[str, Any], expected: list[int]) -> None:
    app = app_of("redis://localhost", **settings)
    assert scaled(app) == expected
    app.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"task_queue_max_priority": 10},
        {"task_queues": [Queue("celery"), Queue("mails", max_priority=10)]},
    ],
)
def test_scale__amqp_takes_the_highest_first(settings: dict[str, Any]) -> None:
    app = app_of("amqp://localhost", **settings)
    assert scaled(app) == [0, 5, 5, 5, 10]
    app.close()


QUEUES = [Queue("celery"), Queue("mails", max_priority=10), Queue("bulk", queue_arguments={"x-max-priority": 4})]


@pytest.mark.parametrize(
    ("name", "queue", "expected"),
    [
        ("shop.add", "mails", [0, 5, 10]),
        ("shop.add", "bulk", [0, 2, 4]),
        ("shop.add", None, None),
        ("shop.count", None, [0, 2, 4]),
        ("shop.count", "mails", [0, 5, 10]),
        ("shop.told", None, [0, 5, 10]),
    ],
)
def test_scale__each_queue_of_amqp_has_its_own(name: str, queue: str | None, expected: list[int] | None) -> None:
    routes = {"shop.count": {"queue": "bulk"}, "shop.told": {"exchange": "news", "routing_key": "all"}}
    app = app_of("amqp://localhost", task_queues=QUEUES, task_routes=routes)
    app.conf.task_default_queue = "celery"
    scale = scale_of_call(scale_of(app), SimpleNamespace(app=app, name=name), queue)
    assert (scale and [scale.of(each) for each in (-100, 0, 100)]) == expected
    app.close()


def test_scale__that_of_redis_is_the_same_in_each_queue() -> None:
    app = app_of("redis://localhost")
    scale = scale_of(app)
    assert scale_of_call(scale, SimpleNamespace(app=app, name="shop.add"), "mails") is scale
    app.close()


@pytest.mark.parametrize("url", ["amqp://localhost", "memory://", "filesystem://"])
def test_scale__there_is_none(url: str) -> None:
    app = app_of(url)
    assert scale_of(app) is None
    app.close()


def test_scale__keeps_the_order() -> None:
    app = app_of("redis://localhost")
    scale = scale_of(app) or SimpleNamespace()
    steps = [scale.of(each) for each in range(-100, 101)]
    assert steps == sorted(steps, reverse=True)
    assert set(steps) == set(range(10))
    app.close()
