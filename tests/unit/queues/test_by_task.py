from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.queues import by_task as room
from tasktools.queues.by_task import by_task, slices

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture
def keys(app: Any) -> Iterator[Keys]:
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as connection:
        yield Keys(connection.default_channel)


@pytest.fixture
def fill(keys: Keys, queue: str) -> Iterator[Any]:
    """Put messages of these tasks into the queue; the first one is the next one."""

    def put(*names: str, priority: int = 0, padding: int = 0) -> None:
        key = keys.lists(queue)[priority]
        for name in names:
            keys.client.lpush(key, json.dumps({"headers": {"lang": "py", "task": name}, "body": "x" * padding}))

    yield put
    keys.client.delete(*keys.lists(queue))


def test_by_task__all_are_read_once(keys: Keys, queue: str, fill: Any) -> None:
    fill(*["a"] * 301, *["b"] * 250)
    fill(*["a"] * 7, priority=3)
    *_, last = by_task(keys, queue)
    assert (last.counts, last.read, last.unread) == ({"a": 308, "b": 250}, 558, 0)


@pytest.mark.parametrize("most", [0, 1, 5, 9])
def test_by_task__the_next_ones_if_not_all_are_read(keys: Keys, queue: str, fill: Any, most: int) -> None:
    fill(*["next"] * 5, *["later"] * 4)
    fill("last", priority=1)
    *_, last = by_task(keys, queue, most=most)
    assert (last.read, last.unread) == (most, 10 - most)
    assert last.counts["next"] == min(most, 5)
    assert last.counts["last"] == 0


def test_by_task__an_empty_queue(keys: Keys, queue: str) -> None:
    assert [each.read for each in by_task(keys, queue)] == [0]


def test_slices__grow_to_their_size_and_never_beyond(
    keys: Keys, queue: str, fill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "SLICE", 100)
    fill(*["a"] * 1000)
    lengths = list(map(len, slices(keys, queue, 1000)))
    assert sum(lengths) == 1000
    assert max(lengths) == 100
    assert lengths[0] == 1


def test_slices__of_long_messages_are_short(keys: Keys, queue: str, fill: Any) -> None:
    fill(*["a"] * 20, padding=room.SLICE_BYTES // 2 - 200)
    lengths = list(map(len, slices(keys, queue, 20)))
    assert (sum(lengths), max(lengths)) == (20, 2)


def test_slices__of_a_queue_that_gets_shorter(keys: Keys, queue: str, fill: Any) -> None:
    fill(*["a"] * 50)
    assert sum(map(len, slices(keys, queue, 80))) == 50


def test_slices__a_reader_that_leaves_does_not_mix_up_answers(keys: Keys, queue: str, fill: Any) -> None:
    fill(*["a"] * 100)
    reading = slices(keys, queue, 100)
    next(reading)
    reading.close()
    assert [keys.client.echo("mine") for _ in range(3)] == [b"mine"] * 3
