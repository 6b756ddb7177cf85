"""What every lease keeps. A module that imports these tests has a fixture `place` (see lease_process)."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasktools.brokers.lease import Lease
from tests.brokers.lease_process import open_lease
from tests.support import LIMIT, Running, Site, wait_for

Place = dict[str, Any]
Make = Callable[..., Lease]

#: How long a lease is asked for, in seconds: only one in a Redis ends by it, and not during a test, on a busy machine too.
SECONDS = 600.0

#: The same for a process, which keeps it, and may be killed.
SHORT = 10.0

__all__ = [
    "make_lease",
    "name",
    "test_close__twice_is_once",
    "test_close__without_giving_up_ends_it_in_time",
    "test_give_up__by_another_process_ends_nothing",
    "test_give_up__wakes_one_that_waits",
    "test_hold__is_refused_while_another_process_holds_it",
    "test_hold__keeps_it_and_its_text",
    "test_lease__of_another_name_is_another_one",
    "test_lease__with_a_long_and_odd_name",
    "test_processes__one_holds_it_and_the_next_takes_over_from_one_that_is_killed",
    "test_terms__count_how_often_it_was_taken",
    "test_wait__ends_in_time",
]


@pytest.fixture
def name() -> str:
    return f"tasktools:beat:{uuid.uuid4()}:lease"


@pytest.fixture
def make_lease(place: Place, name: str) -> Iterator[Make]:
    """Make leases, each as another process has it; they are closed after the test."""
    made: list[Lease] = []

    def make(other_name: str = "") -> Lease:
        made.append(open_lease(place, other_name or name, uuid.uuid4().hex))
        return made[-1]

    yield make
    for each in made:
        with contextlib.suppress(Exception):
            each.close()


def test_hold__is_refused_while_another_process_holds_it(make_lease: Make) -> None:
    first, second, third = make_lease(), make_lease(), make_lease()
    assert first.hold("one", SECONDS) is None
    for _ in range(2):
        for other in (second, third):
            held = other.hold("two", SECONDS)
            assert held is not None
            assert held.text == "one"
            assert held.seconds > 0
    assert first.hold("one", SECONDS) is None


def test_hold__keeps_it_and_its_text(make_lease: Make) -> None:
    first, second = make_lease(), make_lease()
    for look in range(5):
        assert first.hold(f"look {look}" if first.terms else "größer", SECONDS) is None
        held = second.hold("two", SECONDS)
        assert held is not None
        assert held.text == "größer"
        second.wait("two", 0.01)


def test_lease__of_another_name_is_another_one(make_lease: Make, name: str) -> None:
    assert make_lease().hold("one", SECONDS) is None
    assert make_lease(f"{name}2").hold("two", SECONDS) is None


@pytest.mark.parametrize("length", [100, 90])
def test_lease__with_a_long_and_odd_name(make_lease: Make, name: str, length: int) -> None:
    """A name of AMQP has at most 255 bytes, and one of a file as well."""
    odd = f"{name} 'ü' {'x' * length}"
    first, second = make_lease(odd), make_lease(odd)
    assert first.hold("one", SECONDS) is None
    held = second.hold("two", SECONDS)
    assert held is not None
    assert held.text == "one"
    assert make_lease(f"{odd}y").hold("three", SECONDS) is None


def test_terms__count_how_often_it_was_taken(make_lease: Make) -> None:
    first, second = make_lease(), make_lease()
    assert first.terms == 0
    for _ in range(3):
        first.hold("one", SECONDS)
    second.hold("two", SECONDS)
    assert (first.terms, second.terms) == (1, 0)
    first.give_up("one")
    wait_for(lambda: second.hold("two", SECONDS) is None)
    assert (first.terms, second.terms) == (1, 1)


def test_give_up__wakes_one_that_waits(make_lease: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the lease nor one wait ends by itself during the test."""
    monkeypatch.setattr("tasktools.brokers.redis_lease.LONGEST_WAIT", SECONDS)
    monkeypatch.setattr("tasktools.brokers.redis.LIMIT", SECONDS + 60)  # longer than the wait, as always
    first, second = make_lease(), make_lease()
    first.hold("one", SECONDS)
    taken = threading.Event()

    def stand_by() -> None:
        while (other := second.hold("two", SECONDS)) is not None:
            second.wait("two", other.seconds)
        taken.set()

    thread = threading.Thread(target=stand_by, daemon=True)
    thread.start()
    try:
        assert not taken.wait(0.6)
    finally:
        first.give_up("one")
        thread.join(LIMIT)
    assert taken.is_set()


def test_give_up__by_another_process_ends_nothing(make_lease: Make) -> None:
    first, second, third = make_lease(), make_lease(), make_lease()
    first.hold("one", SECONDS)
    assert second.hold("two", SECONDS) is not None
    second.give_up("two")
    held = third.hold("three", SECONDS)
    assert held is not None
    assert held.text == "one"
    assert first.hold("one", SECONDS) is None
    assert first.terms == 1


def test_wait__ends_in_time(make_lease: Make) -> None:
    first, second = make_lease(), make_lease()
    first.hold("one", 600)
    second.hold("two", 600)
    for seconds in (0.0, 0.15):
        began = time.monotonic()
        second.wait("two", seconds)
        assert seconds * 0.9 <= time.monotonic() - began < 20


def test_close__twice_is_once(make_lease: Make) -> None:
    lease = make_lease()
    lease.hold("one", SECONDS)
    lease.close()
    lease.close()
    assert lease.terms == 1


def test_close__without_giving_up_ends_it_in_time(make_lease: Make) -> None:
    first, second = make_lease(), make_lease()
    first.hold("one", 0.5)
    first.close()
    wait_for(lambda: second.hold("two", 0.5) is None)


def test_processes__one_holds_it_and_the_next_takes_over_from_one_that_is_killed(
    site: Site, place: Place, name: str
) -> None:
    left = {who: start(site, place, name, who) for who in ("one", "two", "three")}
    held: list[str] = []
    while left:
        [holder] = wait_for(lambda: [who for who, each in left.items() if " held" in each.output])
        others = [each for who, each in left.items() if who != holder]
        for each in others:
            each.wait_for_output(f" by {holder}\n")
            assert " held" not in each.output
        held.append(holder)
        left.pop(holder).end(signal.SIGKILL)
    assert sorted(held) == ["one", "three", "two"]


def start(site: Site, place: Place, name: str, who: str) -> Running:
    """Start a process that asks for the lease, and return it when it has looked at it."""
    words = ("-m", "tests.brokers.lease_process", json.dumps(place), name, who, str(SHORT))
    started = site.start(sys.executable, *words)
    wait_for(lambda: " held" in started.output or " by " in started.output, what=f"{who}: {started.output}")
    return started
