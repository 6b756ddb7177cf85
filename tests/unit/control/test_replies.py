"""The list for the replies of many rounds."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import redis

from tasktools.control import broadcast
from tasktools.control.answers import ask_over
from tasktools.control.replies import KEPT, Replies
from tasktools.queues.found import is_internal
from tests.nodes import node

LATE = {
    "body": "e30=",
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"ticket": "of an earlier round"},
    "properties": {"body_encoding": "base64", "delivery_info": {}, "delivery_tag": "1"},
}

PONG = {"ping": lambda: {"ok": "pong"}, "stats": lambda: {"pid": 7}}


def test_rounds__each_hears_all(app: Any) -> None:
    own = Replies()
    with node(app, "one@replies", PONG), node(app, "two@replies", PONG), app.connection_for_read() as connection:
        for _ in range(3):
            found = ask_over(app, connection, {"ping": {}, "stats": {}}, 5, own)
            names = {"one@replies", "two@replies"}
            assert names <= found.said.keys()
            assert all(found.said[name] == {"ping": {"ok": "pong"}, "stats": {"pid": 7}} for name in names)


def test_round__forgets_the_replies_of_an_earlier_one(app: Any) -> None:
    own = Replies()
    with node(app, "one@replies", PONG), app.connection_for_read() as connection:
        client = connection.default_channel.client
        ask_over(app, connection, {"ping": {}}, 0.0, own)  # the replies come later
        for _ in range(200):
            if client.llen(own.name):
                break
            client.ping()
        found = ask_over(app, connection, {"stats": {}}, 5, own)
        assert found.said["one@replies"] == {"stats": {"pid": 7}}


def test_replies__before_redis_6_2_come_together_too(app: Any, monkeypatch: Any) -> None:
    own, plain = Replies(), redis.Redis.rpop

    def rpop(self: Any, name: str, count: int | None = None) -> Any:
        if count is not None:
            raise redis.exceptions.ResponseError("wrong number of arguments for 'rpop' command")
        return plain(self, name)

    monkeypatch.setattr(redis.Redis, "rpop", rpop)
    with node(app, "one@replies", PONG), app.connection_for_read() as connection:
        found = ask_over(app, connection, {"ping": {}, "stats": {}}, 5, own)
        assert found.said["one@replies"] == {"ping": {"ok": "pong"}, "stats": {"pid": 7}}


def test_round__of_very_many_workers_is_complete_and_leaves_nothing_at_the_broker(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, workers = Replies(), 1_001

    def send(mailbox: Any, tickets: Any, *_: Any) -> broadcast.Sent:
        client = mailbox.connection.default_channel.client
        for ticket in tickets:
            replies = [_reply(ticket, f"worker-{number}@replies") for number in range(workers)]
            client.lpush(own.name, *replies)
        return broadcast.Sent(listening=workers)

    monkeypatch.setattr(broadcast, "send", send)
    with app.connection_for_read() as connection:
        for _ in range(2):
            found = ask_over(app, connection, {"ping": {}, "stats": {}, "active": {}}, 5, own)
            assert (len(found.said), found.silent, own.takes) == (workers, 0, 1)
            assert all(len(each) == 3 for each in found.said.values())
            assert not connection.default_channel.client.exists(own.name)


def _reply(ticket: str, worker: str) -> str:
    body = base64.b64encode(json.dumps({worker: {"ok": ticket}}).encode()).decode()
    return json.dumps({**LATE, "headers": {"ticket": ticket}, "body": body})


def test_replies__that_come_late_have_an_end(app: Any) -> None:
    own = Replies()
    with node(app, "one@replies", PONG), app.connection_for_read() as connection:
        client = connection.default_channel.client
        own.await_late(connection)
        client.lpush(own.name, json.dumps(LATE))
        assert 0 < client.ttl(own.name) <= KEPT
        found = ask_over(app, connection, {"stats": {}}, 5, own)
        assert found.said["one@replies"] == {"stats": {"pid": 7}}
        own.delete(connection)
        assert not client.exists(own.name)


def test_list__is_no_queue_of_tasks() -> None:
    assert is_internal(Replies().name)


def test_times__are_few_and_end_at_the_limit() -> None:
    own = Replies()
    assert [*own.times(0.8)] == [0.05, pytest.approx(0.2), 0.8]
    assert [*own.times(0.8)] == [0.05, 0.8]  # somebody was silent: only he can come back
    own.learn(0.05)
    assert [*own.times(0.01)] == [0.01]


def test_times__follow_what_workers_need() -> None:
    own = Replies()
    own.learn(0.4)
    assert next(own.times(0.8)) == 0.4
    own.learn(0.4)
    assert next(own.times(0.8)) == pytest.approx(0.32)
    for _ in range(50):
        own.learn(next(own.times(0.8)))
    assert next(own.times(0.8)) == 0.02


def test_late__where_no_script_runs_have_an_end_all_the_same(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise redis.exceptions.NoPermissionError("this user has no permissions to run the 'eval' command")

    monkeypatch.setattr(redis.Redis, "eval", refuse)
    own = Replies()
    with app.connection_for_read() as connection:
        for _ in range(2):
            own.await_late(connection)
            assert 0 < connection.default_channel.client.ttl(own.name) <= KEPT
        own.delete(connection)
