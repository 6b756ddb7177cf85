"""Each message of a task says when it was sent, whoever makes it, and nobody else notices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, chain, signals

from tasktools.arguments.call import Call
from tasktools.publishing import sent_time
from tasktools.publishing.batch import enqueue_many
from tests.conftest import SENT


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Celery]:
    """An app with tasks, whose messages stay in this process."""
    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_default_queue = f"shop-of-{tmp_path.name}"

    @app.task(name="shop.add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    @app.task(name="shop.again", shared=False, bind=True)
    def again(self: Any) -> None:
        raise self.retry(countdown=60)

    yield app
    app.close()


def stamps(app: Celery) -> list[Any]:
    """Take the messages of the queue, and return the time of each."""
    found = []
    with app.connection_for_read() as connection:
        queue = app.amqp.queues[app.conf.task_default_queue](connection.default_channel)
        while (message := queue.get(no_ack=True)) is not None:
            found.append(message.properties.get("timestamp"))
    return found


def test_stamp__is_the_time_in_whole_seconds(clock: SimpleNamespace) -> None:
    properties: dict[str, Any] = {"correlation_id": "1"}
    sent_time.stamp(properties)
    assert properties == {"correlation_id": "1", "timestamp": SENT}
    assert type(properties["timestamp"]) is int  # AMQP takes nothing else


def test_stamp__leaves_what_the_project_has_chosen(clock: SimpleNamespace) -> None:
    properties: dict[str, Any] = {"timestamp": 5}
    sent_time.stamp(properties)
    assert properties == {"timestamp": 5}


@pytest.mark.parametrize("how", ["delay", "send_task", "apply_async", "chain", "enqueue_many"])
def test_message__says_when_it_was_sent(shop: Celery, clock: SimpleNamespace, how: str) -> None:
    add = shop.tasks["shop.add"]
    if how == "delay":
        add.delay(1, 2)
    elif how == "send_task":
        shop.send_task("elsewhere.add", (1, 2))
    elif how == "apply_async":
        add.apply_async((1, 2), countdown=3600)
    elif how == "chain":
        chain(add.s(1, 2), add.s(3)).apply_async()
    else:
        list(enqueue_many(shop, [Call(task="shop.add", args=(1, 2))]))
    assert stamps(shop) == [SENT]


def test_message__with_a_timestamp_of_its_own(shop: Celery, clock: SimpleNamespace) -> None:
    shop.tasks["shop.add"].apply_async((1, 2), timestamp=5)
    assert stamps(shop) == [5]


def test_retry__is_sent_again(shop: Celery, clock: SimpleNamespace) -> None:
    again = shop.tasks["shop.again"]
    again.push_request(id="1", called_directly=False, delivery_info={}, properties={"timestamp": 5}, headers={})
    with pytest.raises(Exception, match="Retry in 60s"):
        again()
    assert stamps(shop) == [SENT]


def test_start__again_connects_nothing_more() -> None:
    before = [*signals.before_task_publish.receivers]
    sent_time.start()
    assert signals.before_task_publish.receivers == before


def test_is_received__does_not_count_ours() -> None:
    def receive(**_: Any) -> None: ...

    signal = signals.before_task_publish
    assert signal.has_listeners("shop.add")
    assert not sent_time.is_received(signal, "shop.add")
    signal.connect(receive, sender="shop.add")
    try:
        assert sent_time.is_received(signal, "shop.add")
        assert not sent_time.is_received(signal, "shop.other")
    finally:
        signal.disconnect(receive, sender="shop.add")
