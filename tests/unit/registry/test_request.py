from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from tasktools.arguments.call import Call
from tasktools.exceptions import ProjectError
from tasktools.registry.request import call_of, request_of, seconds_until


@pytest.fixture
def shop() -> Iterator[Any]:
    """An app that is gone after the test: Celery remembers every app that lives."""
    app = Celery("shop", broker="memory://", set_as_current=False)

    @app.task(name="shop.add", shared=False)
    def add(x: int, y: int = 2) -> int:
        return x + y

    @app.task(name="shop.urgent", shared=False, time_limit=9, soft_time_limit=5, ignore_result=True)
    def urgent() -> None: ...

    yield app
    app.close()


def request(app: Any, task: str = "shop.add", *args: Any, **options: Any) -> dict[str, Any]:
    return request_of(app, Call(task=task, args=args, kwargs={"y": 3}, options=options), hostname="runtask@here")


def test_request__has_what_the_message_carries(shop: Any) -> None:
    found = request(shop, "shop.add", 1, task_id="i1")
    assert {name: found[name] for name in ("id", "root_id", "correlation_id", "parent_id")} == {
        "id": "i1",
        "root_id": "i1",
        "correlation_id": "i1",
        "parent_id": None,
    }
    assert (found["task"], found["args"], found["kwargs"]) == ("shop.add", [1], {"y": 3})
    assert (found["argsrepr"], found["kwargsrepr"]) == ("(1,)", "{'y': 3}")
    assert (found["retries"], found["eta"], found["expires"], found["timelimit"]) == (0, None, None, [None, None])
    assert (found["hostname"], found["is_eager"], found["ignore_result"]) == ("runtask@here", True, False)
    assert found["reply_to"] == shop.thread_oid
    assert found["origin"].startswith("gen")


def test_request__an_id_of_its_own_where_none_is_given(shop: Any) -> None:
    one, other = request(shop, "shop.add", 1), request(shop, "shop.add", 1)
    assert one["id"] != other["id"]
    assert one["id"] == one["correlation_id"]


def test_request__the_task_s_own_options(shop: Any) -> None:
    found = request(shop, "shop.urgent", priority=3)
    assert found["timelimit"] == [9, 5]
    assert found["ignore_result"] is True
    assert found["delivery_info"] == {"exchange": "", "routing_key": "celery", "priority": 3, "redelivered": False}
    assert found["properties"]["priority"] == 3


def test_request__by_its_route(shop: Any) -> None:
    shop.conf.task_routes = {"shop.add": {"queue": "slow", "priority": 7}}
    found = request(shop, "shop.add", 1)
    assert found["delivery_info"] == {"exchange": "", "routing_key": "slow", "priority": 7, "redelivered": False}


def test_request__to_a_topic_exchange(shop: Any) -> None:
    shop.conf.task_queues = [Queue("feeds", Exchange("news", type="topic"), routing_key="news.#")]
    shop.conf.task_routes = {"shop.add": {"queue": "feeds", "routing_key": "news.new"}}
    found = request(shop, "shop.add", 1)["delivery_info"]
    assert (found["exchange"], found["routing_key"]) == ("news", "news.new")


def test_request__headers_that_were_given(shop: Any) -> None:
    assert request(shop, "shop.add", 1, headers={"tenant": "a"})["tenant"] == "a"


def test_request__a_queue_that_there_is_not(shop: Any) -> None:
    shop.conf.task_create_missing_queues = False
    shop.conf.task_routes = {"shop.add": "nowhere"}
    with pytest.raises(ProjectError) as caught:
        request(shop, "shop.add", 1)
    assert caught.value.sentence.startswith(
        'No queue can be found for shop.add: "nowhere" is not in CELERY_TASK_QUEUES'
    )


def test_call_of__a_signature(shop: Any) -> None:
    signature = shop.tasks["shop.add"].signature((1,), {"y": 3}, countdown=5, chord=None)
    assert call_of(signature) == Call(task="shop.add", args=(1,), kwargs={"y": 3}, options={"countdown": 5})


def test_seconds__of_a_countdown_and_of_none(shop: Any) -> None:
    assert seconds_until(shop, Call(task="shop.add", options={"countdown": 5})) == 5.0
    assert seconds_until(shop, Call(task="shop.add")) == 0.0


@pytest.mark.parametrize("form", [lambda time: time, lambda time: time.isoformat()])
def test_seconds__until_an_eta(shop: Any, form: Any) -> None:
    eta = datetime.now(timezone.utc) + timedelta(hours=1)
    assert 3590 < seconds_until(shop, Call(task="shop.add", options={"eta": form(eta)})) <= 3600


def test_seconds__of_an_eta_that_has_passed(shop: Any) -> None:
    eta = datetime.now(timezone.utc) - timedelta(hours=1)
    assert seconds_until(shop, Call(task="shop.add", options={"eta": eta})) == 0.0
