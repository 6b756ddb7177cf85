from __future__ import annotations

import select
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.worker.loop_waker import WAKE, Waker, look_again_soon

pytestmark = pytest.mark.usefixtures("no_hang")


class Hub:
    """A loop that reads when it is asked to."""

    def __init__(self) -> None:
        self.readers: dict[int, Any] = {}

    def add_reader(self, file: int, call: Any) -> None:
        self.readers[file] = call

    def remove_reader(self, file: int) -> None:
        del self.readers[file]

    def turn(self, seconds: float) -> bool:
        """Wait so long at most for something to read; return whether there was."""
        ready, _, _ = select.select(list(self.readers), [], [], seconds)
        for each in ready:
            self.readers[each]()
        return bool(ready)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def waker(hub: Hub) -> Iterator[Waker]:
    made = Waker(hub)
    yield made
    if hub.readers:
        made.close()


def test_wake_soon__wakes_the_loop_once_and_then_again(hub: Hub, waker: Waker) -> None:
    for _ in range(2):
        began = time.monotonic()
        waker.wake_soon()
        assert waker.asked
        waker.wake_soon()  # it is on its way
        assert hub.turn(60)
        assert WAKE / 2 < time.monotonic() - began < 60
        assert not waker.asked
        assert not hub.turn(3 * WAKE)


def test_heard__although_nothing_was_said(waker: Waker) -> None:
    waker._heard()  # it does not wait


def test_close__a_ring_that_comes_later_is_harmless(hub: Hub, waker: Waker) -> None:
    waker.close()
    assert hub.readers == {}
    assert (waker.inbox.fileno(), waker.door.fileno()) == (-1, -1)
    waker._ring()


@pytest.mark.parametrize("admits", [True, False])
def test_look_again_soon__as_long_as_nothing_may_be_taken(admits: bool) -> None:
    asked: list[Any] = []
    connection = SimpleNamespace(drain_events=lambda **options: asked.append(options) or "drained")
    look_again_soon(connection, lambda: admits)
    assert connection.drain_events(timeout=2.0, more=1) == "drained"
    assert asked == [{"timeout": 2.0 if admits else WAKE, "more": 1}]
