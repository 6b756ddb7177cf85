"""What both ways of sending put into the private Valkey: the helpers of the tests that compare them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from tasktools import conf
from tasktools.arguments.call import Call
from tasktools.publishing.batch import Batch, enqueue_many

DATABASE = 7

Make = Callable[..., Celery]


@pytest.fixture
def client(app: Any) -> Iterator[redis.Redis]:
    """A client of a database of the private Valkey which is empty before and after."""
    with app.connection_for_write() as connection:
        connection.default_channel.client.ping()  # starts the server
    with redis.Redis(unix_socket_path=str(conf.data_dir() / "valkey.sock"), db=DATABASE) as made:
        made.flushdb()
        yield made
        made.flushdb()


@pytest.fixture
def make(client: redis.Redis) -> Iterator[Make]:
    """Make an app with these settings, and a task "shop.add" with these options."""
    apps = []

    def make(task_options: dict[str, Any] | None = None, user: str = "", **changes: Any) -> Celery:
        url = f"redis+socket://{user}{conf.data_dir() / 'valkey.sock'}?virtual_host={DATABASE}"
        made = Celery("made", broker=url, set_as_current=False)
        made.conf.update(changes)

        @made.task(name="shop.add", shared=False, **(task_options or {}))
        def add(x: Any, y: Any = 2, **more: Any) -> Any:
            return x

        apps.append(made)
        return made

    yield make
    for each in apps:
        each.close()


@pytest.fixture
def events(client: redis.Redis) -> Iterator[Callable[[], list[tuple[str, dict[str, Any]]]]]:
    """Return, when called, what was published since the last time: channel and message."""
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.psubscribe("*celeryev*")
    listener.get_message(timeout=60)

    def taken() -> list[tuple[str, dict[str, Any]]]:
        client.publish("celeryev-end", "")
        found = []
        while (message := listener.get_message(timeout=60))["channel"] != b"celeryev-end":  # type: ignore[index]
            channel = message["channel"].decode()  # type: ignore[index]
            if "/worker." not in channel:  # a worker of other tests says that it lives
                found.append((channel, json.loads(message["data"])))  # type: ignore[index]
        return found

    yield taken
    listener.close()


def messages(client: redis.Redis) -> dict[str, list[bytes]]:
    """Return and remove what lies in the lists, by key, oldest first."""
    found = {}
    for key in client.scan_iter("*"):
        if client.type(key) == b"list":
            found[key.decode()] = client.lrange(key, 0, -1)[::-1]
            client.delete(key)
    return found


IDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIMES = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")

STAMP = re.compile(rb"""["']timestamp["']: 1\d{9}\b""")


def alike(message: bytes, *, timed: bool) -> bytes:
    """Return a message with its ids, in the order in which they come first, as numbers; without the time at which it was sent,
    and without other times if `timed`.
    """
    parsed = json.loads(message)
    if "id" not in parsed["headers"]:  # protocol 1 has all in the body
        body = base64.b64decode(parsed["body"])
        message = message.replace(parsed["body"].encode(), body)
    seen: dict[bytes, bytes] = {}
    text = IDS.sub(lambda match: seen.setdefault(match[0], b"id-%d" % len(seen)), message)
    text = TIMES.sub(b"time", text) if timed else text
    text = STAMP.sub(b'"timestamp": 0', text)  # a second may begin in between
    return re.sub(rb'"expiration": "?\d+"?', b'"expiration": 0', text) if timed else text


def both(app: Celery, client: redis.Redis, *calls: Call, timed: bool = False) -> tuple[Any, Any, Batch]:
    """Send the calls both ways and return what each put where, and the batch. Each call goes twice: the second by template."""
    for call in calls:
        for _ in range(2):
            app.tasks["shop.add"].apply_async(call.args, dict(call.kwargs), **call.options)
    theirs = messages(client)
    doubled = [call for call in calls for _ in range(2)]
    [batch] = list(enqueue_many(app, doubled))
    ours = messages(client)
    assert all(IDS.fullmatch(each.encode()) for each in batch.ids)
    assert len(set(batch.ids)) == len(doubled)
    sent = [json.loads(message)["properties"]["correlation_id"] for key in ours for message in ours[key]]
    assert set(sent) == set(batch.ids)
    return (
        {key: [alike(each, timed=timed) for each in some] for key, some in theirs.items()},
        {key: [alike(each, timed=timed) for each in some] for key, some in ours.items()},
        batch,
    )


def call(*args: Any, options: dict[str, Any] | None = None, **kwargs: Any) -> Call:
    return Call(task="shop.add", args=args, kwargs=kwargs, options=options or {})
