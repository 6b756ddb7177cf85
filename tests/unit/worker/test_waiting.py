from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tasktools.worker import waiting
from tasktools.worker.waiting import Waiting


@pytest.fixture
def memory() -> Iterator[Celery]:
    with Celery("shop", broker="memory://", set_as_current=False) as app:
        yield app


def consumer(app: Celery, driver: str = "memory", **more: Any) -> Any:
    queues = [SimpleNamespace(name="one"), SimpleNamespace(name="two")]
    connection = SimpleNamespace(transport=SimpleNamespace(driver_type=driver))
    tasks = SimpleNamespace(queues=queues)
    return SimpleNamespace(app=app, task_consumer=tasks, task_buckets={}, connection=connection, **more)


@pytest.fixture(autouse=True)
def lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "queue_length", lambda connection, name: {"one": 2, "two": 3}[name])


def test_count__each_queue_and_a_broker_that_fails_may_hold_something(memory: Celery) -> None:
    made = consumer(memory)
    found = Waiting(made)
    assert found.count() == 5
    beside = found._beside
    assert found.count() == 5
    assert found._beside is beside
    made.task_buckets["shop.limited"] = SimpleNamespace(contents=[("held", 1)])
    assert found.count() == 6
    made.task_consumer.queues.append(SimpleNamespace(name="gone"))
    assert found.count() == 1
    assert found._beside is None


def test_count__not_a_paused_queue(memory: Celery) -> None:
    known = SimpleNamespace(held=lambda: frozenset({"two"}))
    assert Waiting(consumer(memory, tasktools_pausing=SimpleNamespace(known=known))).count() == 2


def test_connection__to_redis_has_limits(memory: Celery) -> None:
    limits = {"socket_timeout": waiting.LIMIT, "socket_connect_timeout": waiting.LIMIT}
    assert Waiting(consumer(memory, "redis")).connection().transport_options == limits
    assert Waiting(consumer(memory, "amqp")).connection().transport_options == {}
