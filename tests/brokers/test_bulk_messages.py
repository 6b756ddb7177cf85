"""What enqueue_many puts into a queue is what apply_async of the installed Celery puts there, key by key and type by type."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import redis
from celery import Celery
from celery.local import Proxy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu import Exchange, Queue

from tasktools import conf
from tasktools.arguments.call import Call
from tasktools.publishing.batch import enqueue_many
from tests.brokers.bulk import DATABASE, IDS, STAMP, Make, both, call, messages

SOON = datetime(2099, 1, 31, 18, tzinfo=timezone.utc)
POST = Exchange("post")

#: name: (options of the task, settings of the app, options of the call, whether a template serves, whether it holds times)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], bool, bool]] = {
    "plain": ({}, {}, {}, True, False),
    "queue": ({}, {}, {"queue": "other"}, True, False),
    "priority": ({}, {}, {"priority": 6}, True, False),
    "priority of the task": ({"priority": 3}, {}, {}, True, False),
    "queue with priorities": (
        {},
        {"broker_transport_options": {"priority_steps": [0, 5], "queue_order_strategy": "priority"}},
        {"priority": 5},
        True,
        False,
    ),
    "countdown": ({}, {}, {"countdown": 90}, True, True),
    "eta": ({}, {}, {"eta": SOON}, True, False),
    "eta with another offset": ({}, {}, {"eta": SOON.astimezone(timezone(timedelta(hours=2)))}, True, False),
    "expires in seconds": ({}, {}, {"expires": 90.5}, True, True),
    "expires at a time": ({}, {}, {"expires": SOON}, True, True),
    "expires of the task": ({"expires": 60}, {}, {}, True, True),
    "ignore_result": ({}, {}, {"ignore_result": True}, True, False),
    "ignore_result of the task": ({"ignore_result": True}, {}, {}, True, False),
    "time limits": ({"time_limit": 30, "soft_time_limit": 20}, {}, {}, True, False),
    "time limits of the call": ({}, {}, {"time_limit": 30, "soft_time_limit": 20}, True, False),
    "pickle": ({"serializer": "pickle"}, {}, {}, True, False),
    "serializer of the app": ({}, {"task_serializer": "pickle"}, {}, True, False),
    "zlib": ({"compression": "zlib"}, {}, {}, True, False),
    "compression of the app": ({}, {"task_compression": "bzip2"}, {}, True, False),
    "delivery mode": ({}, {"task_default_delivery_mode": "transient"}, {}, True, False),
    "default queue": ({}, {"task_default_queue": "mine"}, {}, True, False),
    "routes by name": ({}, {"task_routes": {"shop.*": {"queue": "shop", "priority": 4}}}, {}, True, False),
    "routes by function": ({}, {"task_routes": [lambda name, *_, **__: {"queue": f"to-{name}"}]}, {}, False, False),
    "two queues": (
        {},
        {
            "task_queues": [Queue(each, POST, routing_key="new") for each in ("letters", "copies")],
            "task_routes": {"shop.add": {"exchange": "post", "routing_key": "new"}},
        },
        {},
        True,
        False,
    ),
    "queue that expires": ({}, {"task_queues": [Queue("brief", expires=600)]}, {"queue": "brief"}, True, False),
    "key prefix": ({}, {"broker_transport_options": {"global_keyprefix": "mine:"}}, {}, True, False),
    "headers": ({}, {}, {"headers": {"tenant": "seven"}}, True, False),
    "headers that Celery sets": ({}, {}, {"headers": {"retries": 3, "tenant": "seven"}}, False, False),
    "headers and zlib": ({"compression": "zlib"}, {}, {"headers": {"tenant": "seven"}}, False, False),
    "reply_to": ({}, {}, {"reply_to": "mine"}, False, False),
    "shadow": ({}, {}, {"shadow": "another name"}, True, False),
    "protocol 1": ({}, {"task_protocol": 1}, {}, False, False),
    "task_send_sent_event": ({}, {"task_send_sent_event": True}, {}, True, False),
    "percent signs": ({}, {"task_default_queue": "100%s"}, {}, True, False),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", CASES)
def test_message__is_that_of_apply_async(make: Make, client: redis.Redis, name: str) -> None:
    task_options, changes, options, fast, timed = CASES[name]
    app = make(task_options, **changes)
    with app.connection_for_write() as connection:
        for queue in changes.get("task_queues", ()):
            queue(connection.default_channel).declare()  # as its worker has
    theirs, ours, batch = both(
        app, client, call(1, 2, options=options), call(3, y="four", options=options), timed=timed
    )
    assert len(theirs) == (2 if name == "two queues" else 1)
    assert ours == theirs
    assert (not batch.slow) is fast, batch.slow


def test_times__are_those_of_the_moment(make: Make, client: redis.Redis) -> None:
    app = make()
    before = datetime.now(timezone.utc)
    list(enqueue_many(app, [call(n, options={"countdown": 60, "expires": 120}) for n in range(3)]))
    after = datetime.now(timezone.utc)
    for message in messages(client)["celery"]:
        headers = json.loads(message)["headers"]
        assert before + timedelta(seconds=60) <= datetime.fromisoformat(headers["eta"]) <= after + timedelta(seconds=60)
        assert before + timedelta(seconds=120) <= datetime.fromisoformat(headers["expires"])


def test_app__may_be_celery_s_proxy(make: Make, client: redis.Redis) -> None:
    """celery.current_app is one."""
    app = make()
    [batch] = enqueue_many(Proxy(lambda: app), [call(1), call(2)])
    assert batch.slow == {}
    assert len(messages(client)["celery"]) == 2


def test_task_id__of_a_call_is_kept(make: Make, client: redis.Redis) -> None:
    names = ["mine-0", "mine-1", 'with "quotes" \\ and ä']
    calls = [call(1, options={"task_id": name}) for name in names]
    [batch] = enqueue_many(make(), calls)
    assert batch.ids == names
    assert [json.loads(each)["headers"]["id"] for each in messages(client)["celery"]] == batch.ids


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**64)
    | st.floats(allow_nan=False)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.uuids()
    | st.dates()
    | st.datetimes()
    | st.just(datetime(2030, 1, 31, tzinfo=timezone.utc))
    | st.times(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def plain(app: Any) -> Iterator[tuple[Celery, redis.Redis]]:
    """One app and one client for all examples of a property."""
    with app.connection_for_write() as connection:
        connection.default_channel.client.ping()
    path = conf.data_dir() / "valkey.sock"
    made = Celery("made", broker=f"redis+socket://{path}?virtual_host={DATABASE + 1}", set_as_current=False)

    @made.task(name="shop.add", shared=False, typing=False)
    def add(*args: Any, **kwargs: Any) -> None:
        pass

    with redis.Redis(unix_socket_path=str(path), db=DATABASE + 1) as client:
        client.flushdb()
        yield made, client
        client.flushdb()
    made.close()


def sensible(value: Any) -> bool:
    """A UUID among the arguments would be taken for an id by `alike`."""
    return not IDS.search(repr(value).encode())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(values, max_size=4), st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), values, max_size=3))
def test_arguments_of_any_kind__are_those_of_apply_async(
    plain: tuple[Celery, redis.Redis], args: list[Any], kwargs: dict[str, Any]
) -> None:
    app, client = plain
    task_id = str(uuid.uuid4())
    options = {"task_id": task_id}
    app.tasks["shop.add"].apply_async(tuple(args), kwargs, **options)
    [theirs] = messages(client)["celery"]
    list(
        enqueue_many(
            app, [call(0, options=options), Call(task="shop.add", args=tuple(args), kwargs=kwargs, options=options)]
        )
    )
    _, ours = messages(client)["celery"]
    differs = rb'"delivery_tag": "[^"]+"|' + STAMP.pattern
    assert re.sub(differs, b"", ours) == re.sub(differs, b"", theirs)


def test_wrong_call__is_refused_and_nothing_of_its_batch_sent(make: Make, client: redis.Redis) -> None:
    calls = [call(1), call(2), Call(task="shop.add")]
    sent = enqueue_many(make(), calls, batch_size=2)
    assert len(next(sent).ids) == 2
    with pytest.raises(TypeError, match="missing"):
        next(sent)
    assert len(messages(client)["celery"]) == 2


def test_calls__are_drawn_as_batches_are_asked_for(make: Make, client: redis.Redis) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[Call]:
        number = 0
        while True:
            drawn.append(number)
            yield call(number)
            number += 1

    sent = enqueue_many(make(), endless(), batch_size=3)
    assert drawn == []
    next(sent)
    assert drawn == [0, 1, 2]
    sent.close()  # type: ignore[attr-defined]
    assert len(messages(client)["celery"]) == 3


@pytest.mark.parametrize("broker", ["memory://", "filesystem://"])
def test_other_brokers__get_what_apply_async_sends(broker: str, tmp_path: Any) -> None:
    folders = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path), "control_folder": str(tmp_path / "c")}
    app = Celery("made", broker=broker, set_as_current=False)
    app.conf.broker_transport_options = folders if broker.startswith("file") else {}
    app.conf.task_default_queue = f"made-by-{tmp_path.name}"  # what is in memory is so for all tests of this process

    @app.task(name="shop.add", shared=False)
    def add(x: int) -> int:
        return x

    batches = list(enqueue_many(app, [Call(task="shop.add", args=(n,)) for n in range(5)], batch_size=2))
    assert [len(each.ids) for each in batches] == [2, 2, 1]
    assert "this broker takes no transaction" in batches[0].slow["shop.add"]
    with app.connection_for_read() as connection:
        queue = app.amqp.queues[app.conf.task_default_queue](connection.default_channel)
        received = [queue.get(no_ack=True) for _ in range(5)]
    found = {each.headers["id"]: each.decode()[0] for each in received}  # files have no order
    assert found == dict(
        zip([task_id for batch in batches for task_id in batch.ids], [[n] for n in range(5)], strict=True)
    )
    app.close()
