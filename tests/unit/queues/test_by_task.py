from __future__ import annotations

from typing import Any

import pytest

from tasktools.brokers.keys import Keys
from tasktools.queues import by_task as room
from tasktools.queues.by_task import by_task

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


def test_by_task__all_are_read_once(keys: Keys, queue: str, fill: Any) -> None:
    fill(*["a"] * 301, *["b"] * 250)
    fill(*["a"] * 7, priority=3)
    *steps, last = by_task(keys, queue)
    assert (last.counts, last.read, last.unread) == ({"a": 308, "b": 250}, 558, 0)
    assert len(steps) > 4  # who is out of time has what was counted so far


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


def test_by_task__names_are_bounded(keys: Keys, queue: str, fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_NAMES", 2)
    fill("a", "x" * 10_000, "b", "a", "c", "b")
    *_, last = by_task(keys, queue)
    assert (last.counts, last.others, last.read) == ({"a": 2, "x" * 200: 1}, 3, 6)
