"""Messages that go back to the front of their queue, and those that wait aside."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.queues import aside
from tasktools.queues.aside import (
    Taken,
    aside_name,
    aside_queues,
    bring_back,
    give_back,
    may_use_scripts,
    places,
    put_aside,
)

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

Take = Callable[..., list[Taken]]


@pytest.fixture
def keys(app: Any) -> Iterator[Keys]:
    """Keys of their own: a worker of the suite brings back what is aside of a task that nobody has paused."""
    broker_of(app).prepare()
    options = {**app.conf.broker_transport_options, "global_keyprefix": "aside-tests:"}
    with app.connection_for_write(transport_options=options) as connection:
        yield Keys(connection.default_channel)


@pytest.fixture
def take(keys: Keys, queue: str) -> Iterator[Take]:
    """Have a worker take messages of these texts."""

    def take(*texts: str, priority: int = 0) -> list[Taken]:
        for each in texts:
            keys.client.hset(keys.full(keys.channel.unacked_key), f"tag-{each}", json.dumps([each, "", queue]))
            keys.client.zadd(keys.full(keys.channel.unacked_index_key), {f"tag-{each}": time.time()})
        return [Taken(tag=f"tag-{each}", raw=each, queue=queue, priority=priority) for each in texts]

    yield take
    keys.client.delete(*keys.lists(queue), keys.full(aside.KEY), *keys.lists(aside_name(queue, "a")))
    keys.client.delete(*keys.lists(aside_name(queue, "b")))
    for each in "123456":
        keys.client.hdel(keys.full(keys.channel.unacked_key), f"tag-{each}")
        keys.client.zrem(keys.full(keys.channel.unacked_index_key), f"tag-{each}")


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def scripts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, keys: Keys) -> bool:
    """Whether the user of the broker may use scripts."""
    if not request.param:

        def refuse(*_: object) -> None:
            raise redis.exceptions.NoPermissionError("NOPERM no scripts")

        monkeypatch.setattr(keys.client, "eval", refuse)
    return bool(request.param)


def waiting(keys: Keys, queue: str, place: int = 0) -> str:
    """Return what waits in a list of a queue, the next one first."""
    return "".join(each.decode() for each in reversed(keys.client.lrange(keys.lists(queue)[place], 0, -1)))


def is_taken(keys: Keys, text: str) -> tuple[bool, bool]:
    tag = f"tag-{text}"
    held = keys.client.hexists(keys.full(keys.channel.unacked_key), tag)
    return bool(held), keys.client.zscore(keys.full(keys.channel.unacked_index_key), tag) is not None


def test_give_back__to_the_front_and_in_order(take: Take, keys: Keys, queue: str, scripts: bool) -> None:
    keys.client.lpush(keys.lists(queue)[0], "4", "5")
    give_back(keys, take("1", "2", "3"))
    assert waiting(keys, queue) == "12345"
    assert is_taken(keys, "2") == (False, False)
    assert may_use_scripts(keys) is scripts


def test_give_back__in_several_steps(take: Take, keys: Keys, queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "_AT_ONCE", 2)
    give_back(keys, take("1", "2", "3", "4", "5"))
    assert waiting(keys, queue) == "12345"


def test_give_back__keeps_the_priority(take: Take, keys: Keys, queue: str) -> None:
    step = keys.channel.priority_steps[1]
    give_back(keys, take("1", priority=step))
    assert (waiting(keys, queue, 0), waiting(keys, queue, 1)) == ("", "1")


def test_give_back__not_what_another_worker_has_got(take: Take, keys: Keys, queue: str, scripts: bool) -> None:
    taken = take("1", "2")
    keys.client.hdel(keys.full(keys.channel.unacked_key), "tag-1")
    for _ in range(2):  # the answer of the first time may be lost
        give_back(keys, taken)
    assert waiting(keys, queue) == "2"


def test_put_aside__and_back_in_front(take: Take, keys: Keys, queue: str, scripts: bool) -> None:
    first, second, third = take("1", "2", "3")
    put_aside(keys, [(first, "a"), (second, "b")])
    put_aside(keys, [(third, "a")])
    assert (waiting(keys, aside_name(queue, "a")), waiting(keys, aside_name(queue, "b"))) == ("13", "2")
    assert aside_queues(keys) == [aside_name(queue, "a"), aside_name(queue, "b")]
    assert is_taken(keys, "3") == (False, False)
    if not scripts:
        return
    keys.client.lpush(keys.lists(queue)[0], "4")
    assert bring_back(keys, ()) == bring_back(keys, {("other", "a"), (queue, "c")}) == 0
    assert bring_back(keys, {(queue, "a")}) == 2
    assert waiting(keys, queue) == "134"
    assert aside_queues(keys) == [aside_name(queue, "b")]
    assert places(keys) == {(queue, "b")}
    assert bring_back(keys, {(queue, "a"), (queue, "b")}) == 1
    assert waiting(keys, queue) == "2134"
    assert (aside_queues(keys), places(keys)) == ([], frozenset())
    assert bring_back(keys, {(queue, "b")}) == 0


@pytest.mark.parametrize("newer", ["", "5", "567", "56789"])
@pytest.mark.parametrize("at_once", [2, 4, 100])
def test_bring_back__keeps_the_order_and_leaves_nothing(
    newer: str, at_once: int, take: Take, keys: Keys, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "_BACK_AT_ONCE", at_once)
    put_aside(keys, [(each, "a") for each in take("1", "2", "3", "4")])
    for each in newer:
        keys.client.lpush(keys.lists(queue)[0], each)
    assert bring_back(keys, {(queue, "a")}) == 4
    assert waiting(keys, queue) == "1234" + newer
    assert (keys.length(aside_name(queue, "a")), aside_queues(keys)) == (0, [])


def _moves(keys: Keys) -> int:
    """Return how many messages the server has moved one by one."""
    stats = keys.client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("rpush", "rpop"))


def test_bring_back__of_many_does_not_stop_the_server(take: Take, keys: Keys, queue: str) -> None:
    put_aside(keys, [(each, "a") for each in take("1")])
    keys.client.lpush(keys.lists(aside_name(queue, "a"))[0], *["x"] * 50_000)
    keys.client.lpush(keys.lists(queue)[0], "2", "3")
    before = _moves(keys)
    assert bring_back(keys, {(queue, "a")}) == 50_001
    assert _moves(keys) - before == 2
    assert keys.length(queue) == 50_003


def test_bring_back__skips_what_is_not_ours(keys: Keys, take: Take, queue: str) -> None:
    keys.client.sadd(keys.full(aside.KEY), "no JSON", "7")
    assert bring_back(keys, {(queue, "a")}) == 0
    assert (places(keys), aside_queues(keys)) == (frozenset(), [])


def test_aside_queues__of_another_program_s_key(keys: Keys, take: Take) -> None:
    keys.client.set(keys.full(aside.KEY), "text")
    assert aside_queues(keys) == []
