from __future__ import annotations

from typing import Any

import pytest
import redis

from tasktools.brokers.keys import Keys
from tasktools.queues import slices as room
from tasktools.queues.peek import peek
from tasktools.queues.purge_redis import RedisPurger
from tasktools.queues.slices import CAREFUL, Pace, slices

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


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


LONG = 100_000


@pytest.fixture
def uneven(fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small messages at the front, long ones at the back: nothing that is read before shows them."""
    monkeypatch.setattr(room, "_SURPRISE", 1_000_000)
    fill(*["small"] * 1900)
    fill(*["long"] * 40, padding=LONG)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes were read at once."""
    found: list[int] = []
    saw = Pace.saw

    def spy(self: Pace, number: int, size: int, longest: int) -> None:
        found.append(size)
        saw(self, number, size, longest)

    monkeypatch.setattr(Pace, "saw", spy)
    return found


@pytest.mark.usefixtures("uneven")
def test_slices__long_messages_after_small_ones_are_read_in_few(keys: Keys, queue: str, sizes: list[int]) -> None:
    lengths = list(map(len, slices(keys, queue, 1940)))
    assert sum(lengths) == 1940
    assert max(sizes) < (CAREFUL + 1) * LONG


def test_slices__small_ones_alone_are_read_in_many(keys: Keys, queue: str, fill: Any) -> None:
    fill(*["small"] * 5000)
    assert max(map(len, slices(keys, queue, 5000))) == room.SLICE


@pytest.mark.usefixtures("uneven")
def test_peek__does_not_read_all_at_once(keys: Keys, queue: str, sizes: list[int]) -> None:
    keys.client.lpush(queue, *[b"{}"] * 100)
    found = peek(keys, queue, 1999)
    assert [each.task for each in found] == ["small"] * 1900 + ["long"] * 40 + [None] * 59
    assert max(sizes) < (CAREFUL + 1) * LONG


@pytest.mark.parametrize("reads", ["tasks", "remove"])
def test_purge__long_messages_after_small_ones(
    app: Any, keys: Keys, queue: str, fill: Any, sizes: list[int], monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    monkeypatch.setattr(room, "_SURPRISE", 1_000_000)
    fill(*["long"] * 40, padding=LONG)
    fill(*["small"] * 1900)
    with app.connection_for_write() as connection:
        purger = RedisPurger(connection)
        steps = list(purger.tasks(queue)) if reads == "tasks" else list(purger.remove(queue, "small"))
    assert len(steps) > 4
    assert max(sizes) < (CAREFUL + 1) * LONG


def test_pace__is_careful_if_the_server_does_not_say_how_much_memory_a_list_has() -> None:
    class Refusing:
        def __getattr__(self, name: str) -> Any:
            raise redis.exceptions.NoPermissionError

    pace = Pace(keys=type("Keys", (), {"client": Refusing()})(), key="mails")
    counts = []
    for _ in range(8):
        pace.saw(pace.count, 100 * pace.count, 100)
        counts.append(pace.count)
    assert counts == [2, 4, 8, 16, 16, 16, 16, 16]
