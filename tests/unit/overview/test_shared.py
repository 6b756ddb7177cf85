"""One value for everybody who looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import connections

from tasktools.overview.shared import Shared
from tests.support import wait_for


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Maker:
    """Makes 1, 2, 3 and so on, if it is not held."""

    def __init__(self) -> None:
        self.made = 0
        self.held = threading.Event()
        self.held.set()

    def __call__(self) -> int:
        self.held.wait(60)
        self.made += 1
        return self.made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def maker() -> Iterator[Maker]:
    made = Maker()
    yield made
    made.held.set()


@pytest.fixture
def shared(maker: Maker, clock: Clock) -> Shared[int]:
    return Shared(maker, fresh=2, usable=20, now=clock)


def test_value__that_is_past_is_made_again_while_it_is_fresh(maker: Maker, clock: Clock) -> None:
    past: list[int] = []
    shared = Shared(maker, fresh=10, usable=20, now=clock, is_past=lambda value: value in past)
    assert [shared.get(5), shared.get(5)] == [1, 1]
    past.append(1)
    assert [shared.get(5), shared.get(5), maker.made] == [2, 2, 2]


def test_value__is_made_once_while_it_is_fresh(shared: Shared[int], maker: Maker, clock: Clock) -> None:
    assert [shared.get(5), shared.get(5)] == [1, 1]
    clock.now += 1.9
    assert (shared.get(5), maker.made) == (1, 1)
    clock.now += 0.2
    assert (shared.get(5), maker.made) == (2, 2)


def test_value__that_is_old_is_returned_while_another_is_made(shared: Shared[int], maker: Maker, clock: Clock) -> None:
    shared.get(5)
    clock.now += 10
    maker.held.clear()
    assert [shared.get(0), shared.get(0)] == [1, 1]
    maker.held.set()
    assert wait_for(lambda: shared.get(0) == 2)
    assert maker.made == 2


def test_value__that_is_too_old_is_not_returned(shared: Shared[int], maker: Maker, clock: Clock) -> None:
    shared.get(5)
    clock.now += 21
    maker.held.clear()
    assert shared.get(0) is None


def test_value__is_made_by_one_thread_for_all(shared: Shared[int], maker: Maker) -> None:
    maker.held.clear()
    found: list[Any] = []
    people = [threading.Thread(target=lambda: found.append(shared.get(10))) for _ in range(10)]
    for each in people:
        each.start()
    maker.held.set()
    for each in people:
        each.join(60)
    assert found == [1] * 10
    assert maker.made == 1


def test_outdate__has_it_made_again(shared: Shared[int], maker: Maker) -> None:
    shared.get(5)
    shared.outdate()
    assert shared.get(5) == 2


def test_value__is_of_the_other_process_that_shares_the_cache(maker: Maker, clock: Clock) -> None:
    cache = LocMemCache("shared-look", {})
    one, other = (Shared(maker, fresh=2, usable=20, name="look", cache=cache, now=clock) for _ in range(2))
    assert [one.get(5), other.get(5)] == [1, 1]
    one.outdate()
    assert one.get(5) == 2


def test_value__is_made_without_a_cache_that_fails(maker: Maker, clock: Clock) -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise ConnectionError("the cache is away")

    shared = Shared(maker, fresh=2, usable=20, name="look", cache=Away(), now=clock)
    assert shared.get(5) == 1
    shared.outdate()
    assert shared.get(5) == 2


class State:
    """What a look shows: it takes what is there when it begins, and ends when it may."""

    def __init__(self) -> None:
        self.state, self.looks = "running", 0
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.looks += 1
        seen = self.state
        self.begun.set()
        self.may_end.wait(60)
        return seen


def test_outdate__during_a_look_has_another_one_made(clock: Clock) -> None:
    cache, state = LocMemCache("outdated-look", {}), State()
    shared = Shared(state, fresh=2, usable=20, name="look", cache=cache, now=clock)
    assert shared.get(0) is None
    assert state.begun.wait(60)
    state.state = "paused"
    shared.outdate()
    threading.Timer(0.1, state.may_end.set).start()
    assert shared.get(5) == "paused"
    assert shared.get(5) == "paused"
    assert state.looks == 2
    assert Shared(state, fresh=2, usable=20, name="look", cache=cache, now=clock).get(5) == "paused"


def test_outdate__of_another_process_during_a_look(clock: Clock) -> None:
    cache, state = LocMemCache("outdated-elsewhere", {}), State()
    one, other = (Shared(state, fresh=2, usable=20, name="look", cache=cache, now=clock) for _ in range(2))
    one.get(0)
    assert state.begun.wait(60)
    state.state = "paused"
    other.outdate()
    state.may_end.set()
    assert one.get(5) == "paused"
    assert other.get(5) == "paused"
    state.state = "running"
    other.outdate()
    assert one.get(5) == "running"  # its own value is fresh, and of the generation before


def test_value__is_as_old_as_the_look_that_began_it(clock: Clock) -> None:
    def make() -> int:
        clock.now += 1.5
        return int(clock.now)

    shared = Shared(make, fresh=2, usable=20, now=clock)
    assert shared.get(5) == 1001
    clock.now += 0.6
    assert shared.get(5) == 1003


def test_value__whose_maker_raises_is_tried_again_after_a_pause(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    tries: list[int] = []

    def make() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise SystemExit("once")
        return 7

    shared = Shared(make, fresh=2, usable=20, name="look", now=clock)
    assert [shared.get(5), shared.get(5), shared.get(5)] == [None] * 3
    assert len(tries) == 1
    assert "look" in caplog.text
    clock.now += 2
    assert shared.get(5) == 7


def test_run__closes_the_connections_of_its_thread(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[tuple[str, str]] = []
    for name, kept in (("database", connections), ("cache", caches)):
        monkeypatch.setattr(kept, "close_all", lambda name=name: closed.append((name, threading.current_thread().name)))
    shared = Shared(lambda: 1, fresh=2, usable=20, name="look", now=clock)
    assert shared.get(5) == 1
    assert wait_for(lambda: closed == [("database", "look"), ("cache", "look")])
