"""The time in the messages of a batch on Redis: it is there, it is right, and it costs no speed."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import signals

from tasktools.publishing import sent_time
from tasktools.publishing.batch import enqueue_many
from tasktools.publishing.hooks import Hooks
from tasktools.publishing.message_kind import CHANGED
from tests.brokers.bulk import Make, both, call, messages
from tests.conftest import SENT


@pytest.fixture
def receive(request: pytest.FixtureRequest) -> Callable[[Callable[..., Any]], None]:
    """Connect a receiver of before_task_publish."""

    def receive(receiver: Callable[..., Any]) -> None:
        signals.before_task_publish.connect(receiver, weak=False)
        request.addfinalizer(lambda: signals.before_task_publish.disconnect(receiver))

    return receive


def stamps(client: redis.Redis) -> list[Any]:
    return [json.loads(each)["properties"]["timestamp"] for each in messages(client)["celery"]]


@pytest.mark.parametrize("is_received", [False, True], ids=["alone", "beside a receiver of the project"])
def test_batch__has_the_time_at_which_it_was_made(
    make: Make, client: redis.Redis, clock: SimpleNamespace, receive: Callable[..., None], is_received: bool
) -> None:
    if is_received:
        receive(lambda headers, **_: headers.update(tenant="seven"))
    batches = enqueue_many(make(), [call(n) for n in range(6)], batch_size=3)
    assert next(batches).slow == {}
    assert stamps(client) == [SENT] * 3
    clock.at += 60
    assert next(batches).slow == {}
    assert stamps(client) == [SENT + 60] * 3


def test_batch__shows_its_messages_to_nobody_without_receivers_of_the_project(
    make: Make, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(Hooks, "show", lambda self, *args: shown.append(args))
    [batch] = enqueue_many(make(), [call(n) for n in range(5)])
    assert (batch.slow, shown) == ({}, [])
    assert len(stamps(client)) == 5


#: What receivers of a project may do, whether it stays fast, and the time of the message.
CHOICES: dict[str, tuple[Callable[..., Any], bool, Any]] = {
    "the time, as the docs had it": (lambda properties, **_: properties.setdefault("timestamp", 7), True, SENT),
    "another time": (lambda properties, **_: properties.update(timestamp=7), True, 7),
    "a time with fractions": (lambda properties, **_: properties.update(timestamp=7.5), False, 7.5),
    "True": (lambda properties, **_: properties.update(timestamp=True), False, True),
    "another property too": (lambda properties, **_: properties.update(timestamp=7, app_id="shop"), False, 7),
}


@pytest.mark.parametrize("name", CHOICES)
def test_receiver__that_chooses_the_time(
    make: Make, client: redis.Redis, clock: SimpleNamespace, receive: Callable[..., None], name: str
) -> None:
    change, is_fast, expected = CHOICES[name]
    receive(change)
    theirs, ours, batch = both(make(), client, call(1), call(2))
    assert ours == theirs
    assert batch.slow == ({} if is_fast else {"shop.add": CHANGED})
    list(enqueue_many(make(), [call(n) for n in range(3)]))
    assert [(each, type(each)) for each in stamps(client)] == [(expected, type(expected))] * 3


@pytest.mark.parametrize(
    "left", [lambda properties: properties.pop("timestamp"), lambda properties: properties.update(timestamp=7.5)]
)
def test_receiver__that_takes_the_time_from_some(
    make: Make, client: redis.Redis, clock: SimpleNamespace, receive: Callable[..., None], left: Callable[[Any], Any]
) -> None:
    receive(lambda properties, body, **_: body[0][0] == 2 and left(properties))
    theirs, ours, batch = both(make(), client, call(1), call(2), call(3))
    assert ours == theirs
    assert batch.slow == {"shop.add": CHANGED}


def test_message__that_a_worker_gives_back_keeps_its_time(
    make: Make, client: redis.Redis, clock: SimpleNamespace
) -> None:
    app = make()
    list(enqueue_many(app, [call(1)]))
    clock.at += 60
    with app.connection_for_read() as connection:
        message = app.amqp.queues["celery"](connection.default_channel).get()
        assert client.llen("celery") == 0
        message.requeue()
    assert stamps(client) == [SENT]


def test_messages__without_a_time_if_nobody_adds_it(make: Make, client: redis.Redis) -> None:
    """As in a process where tasktools has not started."""
    signals.before_task_publish.disconnect(dispatch_uid="tasktools.sent_time")
    try:
        theirs, ours, batch = both(make(), client, call(1), call(2))
    finally:
        sent_time.start()
    assert ours == theirs
    assert batch.slow == {}
    assert b"timestamp" not in b"".join(ours["celery"])
