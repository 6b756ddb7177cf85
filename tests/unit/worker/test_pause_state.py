"""What a worker knows of the pauses, and the thread that looks for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tasktools.exceptions import ConfigurationError
from tasktools.queues.database_pauses import DatabasePauses
from tasktools.queues.pauses import QUEUE, TASK, Pause, Pauses
from tasktools.worker import pause_state
from tasktools.worker.known_pauses import Known
from tasktools.worker.pause_state import Watch
from tests.support import wait_for

NOW = datetime(2030, 1, 31, 18, 0, tzinfo=timezone.utc)


def pause(name: str, what: str = QUEUE, seconds: float | None = None, now: datetime = NOW) -> Pause:
    return Pause(what=what, name=name, since=now, until=None if seconds is None else now + timedelta(seconds=seconds))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_known__a_queue_until_its_pause_is_over() -> None:
    clock = Clock()
    known = Known(clock)
    known.change([pause("a", seconds=5), pause("b"), pause("c", seconds=3)], [])
    assert known.held() == {"a", "b", "c"}
    assert known.next_end == 3
    clock.now += timedelta(seconds=3)
    assert (known.held(), known.next_end) == ({"a", "b"}, 2)
    clock.now += timedelta(seconds=2)
    assert (known.holds("a"), known.holds("b"), known.next_end) == (False, True, None)


def test_known__a_task_until_it_is_taken_back() -> None:
    clock = Clock()
    known = Known(clock)
    known.change([pause("a", TASK, 5)], [])
    assert (known.holds("a"), known.holds_task("a"), known.held(), known.held(TASK)) == (False, True, set(), {"a"})
    clock.now += timedelta(seconds=6)
    assert known.holds_task("a")  # what was put aside is older
    known.change([], [pause("a", TASK)])
    assert (known.holds_task("a"), known.held(TASK), known.ending) == (True, set(), {"a"})
    known.ended({"a"})
    assert (known.holds_task("a"), known.ending) == (False, set())


def test_known__a_task_that_was_read_no_longer_or_of_which_something_is_left() -> None:
    known = Known(Clock())
    known.replace([pause("a", TASK), pause("b", TASK), pause("q")], known.changes)
    assert known.ending == set()
    known.replace([pause("b", TASK)], known.changes, {"b", "c"})
    assert (known.ending, known.holds("q")) == ({"a", "c"}, False)
    known.change([pause("a", TASK)], [])  # paused again meanwhile
    assert (known.ending, known.holds_task("a")) == ({"c"}, True)
    before = known.changes
    known.ended({"c"})
    assert not known.replace([], before, {"c"})  # it was read before the loop brought it back
    assert known.ending == set()


def test_known__what_was_read_before_a_broadcast_is_old() -> None:
    known = Known(Clock())
    before = known.changes
    known.change([pause("a")], [])
    assert not known.replace([], before)
    assert known.held() == {"a"}
    assert known.replace([pause("b")], known.changes)
    assert known.held() == {"b"}
    known.change([], [pause("b")])
    assert known.held() == set()


def test_known__logs_what_is_paused_and_why_it_no_longer_is(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    known = Known(clock)
    known.replace([pause("start\x1b[2J"), pause("lost"), pause("timed", seconds=5), pause("task", TASK)], known.changes)
    assert [each.getMessage() for each in caplog.records] == [
        "Paused: queue lost, since 2030-01-31 18:00:00 (times in UTC).",
        r"Paused: queue start\x1b[2J, since 2030-01-31 18:00:00 (times in UTC).",
        "Paused: queue timed, since 2030-01-31 18:00:00 until 2030-01-31 18:00:05 (times in UTC).",
        "Paused: task task, since 2030-01-31 18:00:00 (times in UTC).",
    ]
    caplog.clear()
    known.change([pause("lost")], [pause("task", TASK), pause("never")])
    assert [each.getMessage() for each in caplog.records] == ["No longer paused: task task: it was resumed."]
    caplog.clear()
    clock.now += timedelta(seconds=6)
    known.replace([pause("start\x1b[2J")], known.changes)
    clock.now += timedelta(seconds=4)
    known.replace([pause("start\x1b[2J")], known.changes)
    [timed] = (each.getMessage() for each in caplog.records)
    clock.now += timedelta(seconds=1)
    known.replace([pause("start\x1b[2J")], known.changes)
    lost = caplog.records[-1].getMessage()
    assert lost.startswith("No longer paused: queue lost: its pause is no longer kept; if nobody has run resumequeue, ")
    assert timed == "No longer paused: queue timed: its time is over."
    assert {each.levelno for each in caplog.records} == {logging.WARNING}
    caplog.clear()
    known.replace([pause("start\x1b[2J")], known.changes)
    assert not caplog.records


def test_known__a_look_ahead_of_the_broadcast_does_not_say_that_a_pause_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """resumequeue forgets the pause first. Its tasks begin at once."""
    clock = Clock()
    known = Known(clock)
    known.replace([pause("a"), pause("b")], known.changes)
    caplog.clear()
    known.replace([], known.changes)
    assert not known.held()
    clock.now += timedelta(seconds=1)
    known.replace([], known.changes)
    assert not caplog.records
    known.change([pause("b")], [pause("a")])
    clock.now += timedelta(seconds=9)
    known.replace([pause("b")], known.changes)
    paused, resumed = (each.getMessage() for each in caplog.records)
    assert resumed == "No longer paused: queue a: it was resumed."
    assert paused.startswith("Paused: queue b, ")


class Kept(Pauses):
    """What a look finds; `read` may be replaced."""

    def __init__(self) -> None:
        self.found: list[Pause] = []
        self.aside = frozenset[tuple[str, str]]()
        self.said: list[Any] = []

    def read(self, now: datetime) -> list[Pause]:
        self.said.append("read")
        return list(self.found)

    def places_aside(self) -> frozenset[tuple[str, str]]:
        self.said.append("look")
        return self.aside

    def bring_back(self, places: Any) -> None:
        self.said.append(sorted(places))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def changed() -> threading.Semaphore:
    """Counts how often the loop was told: two words before a test looks are two."""
    return threading.Semaphore(0)


@pytest.fixture
def watch(kept: Kept, known: Known, changed: threading.Semaphore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setattr(pause_state, "pauses_of", lambda _: kept)
    app: Any = SimpleNamespace()
    made = Watch(app, known, is_solo=False, changed=changed.release, queues=lambda: ["busy"])
    monkeypatch.setattr(made, "_connect", lambda: SimpleNamespace(collect=lambda: None))
    yield made
    made.end()
    if made._thread:
        made._thread.join(60)


def test_watch__a_worker_that_starts_knows_what_is_paused(
    watch: Watch, kept: Kept, known: Known, changed: threading.Semaphore
) -> None:
    kept.found = [pause("a")]
    watch.look_soon(60)
    assert known.held() == {"a"}
    assert changed.acquire(timeout=60)


def test_watch__looks_again_by_itself(watch: Watch, kept: Kept, known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause_state, "PERIOD", 0.01)
    watch.look_soon(60)
    kept.found = [pause("a")]
    wait_for(lambda: known.held() == {"a"})


def test_watch__at_the_end_of_a_pause_the_loop_is_told(
    watch: Watch, kept: Kept, known: Known, changed: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pause_state, "PERIOD", 1000.0)
    now = datetime.now(timezone.utc)
    kept.found = [pause("a", seconds=0.3, now=now)]
    watch.look_soon(60)
    assert changed.acquire(timeout=60)
    assert changed.acquire(timeout=60)
    assert not known.holds("a")


def test_watch__at_the_end_of_a_task_s_pause_only_the_loop_brings_its_messages_back(
    watch: Watch, kept: Kept, known: Known, changed: threading.Semaphore
) -> None:
    """What the loop holds is newer, and another worker of the queue may still put aside."""
    known.change([pause("a", TASK), pause("b", TASK)], [])
    kept.found, kept.aside = [pause("b", TASK)], frozenset({("busy", "a"), ("busy", "b"), ("busy", "c")})
    watch.look_soon(60)
    assert changed.acquire(timeout=60)
    assert kept.said[:2] == ["look", "read"]  # in this order: what a pause does not hold then is over
    assert (known.ending, known.holds_task("a")) == ({"a", "c"}, True)
    assert not any(isinstance(each, list) for each in kept.said)


def test_watch__the_loop_is_told_again_of_a_task_that_another_worker_has_put_aside_once_more(
    watch: Watch, kept: Kept, known: Known, changed: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pause_state, "PERIOD", 1000.0)
    kept.aside = frozenset({("busy", "a")})
    watch.look_soon(60)
    assert changed.acquire(timeout=60)
    known.ended({"a"})  # the loop has brought it back, and no look has seen that
    watch.look_soon(60)
    assert known.holds_task("a")
    assert changed.acquire(timeout=60)


def test_watch__brings_back_what_no_worker_of_the_queue_has_for_long(
    watch: Watch, kept: Kept, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(pause_state.time, "monotonic", lambda: now[0])
    kept.aside = frozenset({("else", "a"), ("else", "b")})
    kept.found = [pause("b", TASK)]
    for seconds in (0, 1, pause_state.FORSAKEN - 1):
        now[0] += seconds
        watch._look()
    assert [each for each in kept.said if isinstance(each, list)] == [[("else", "a")]]
    assert known.ending == set()
    kept.aside = frozenset()
    watch._look()
    kept.aside = frozenset({("else", "a")})  # once more
    watch._look()
    assert [each for each in kept.said if isinstance(each, list)] == [[("else", "a")]]


def test_watch__a_broadcast_meanwhile_wins(watch: Watch, kept: Kept, known: Known) -> None:
    def broadcast() -> frozenset[tuple[str, str]]:
        if not known.changes:
            known.change([pause("b")], [])
            kept.found = [pause("b"), pause("c")]
        return frozenset()

    kept.places_aside = broadcast  # type: ignore[method-assign]
    watch.look_soon(60)
    wait_for(lambda: known.held() == {"b", "c"})  # it has looked again


def test_watch__an_error_is_logged_once_and_it_goes_on(
    watch: Watch, kept: Kept, known: Known, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pause_state, "PERIOD", 0.01)
    known.change([pause("a")], [])
    calls: list[int] = []

    def fail(now: datetime) -> list[Pause]:
        calls.append(1)
        raise ConnectionError("away")

    kept.read = fail  # type: ignore[method-assign]
    watch.look_soon(60)
    wait_for(lambda: len(calls) > 3)
    assert known.held() == {"a"}
    lines = [each.getMessage() for each in caplog.records if each.name == pause_state.__name__]
    assert lines == ["Which queues are paused cannot be read (ConnectionError: away): it is tried again."]
    del kept.read  # type: ignore[method-assign]
    wait_for(lambda: not known.held())


def test_watch__ends(watch: Watch, kept: Kept) -> None:
    watch.look_soon(60)
    watch.end()
    assert watch._thread is not None
    watch._thread.join(60)
    assert not watch._thread.is_alive()
    watch.look_soon(60)  # the worker has connected again
    assert kept.said.count("read") == 2


def _fails(error: Exception) -> Callable[[datetime], list[Pause]]:
    def read(now: datetime) -> list[Pause]:
        raise error

    return read


@pytest.mark.parametrize(
    ("is_solo", "database", "period"),
    [
        (False, False, pause_state.PERIOD),
        (False, True, pause_state.PERIOD_OF_DATABASE),
        (True, False, pause_state.PERIOD_OF_SOLO),
        (True, True, pause_state.PERIOD_OF_SOLO_AND_DATABASE),
    ],
)
def test_period__depends_on_the_pool_and_the_place(
    is_solo: bool, database: bool, period: float, watch: Watch, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database:
        found = DatabasePauses()
        monkeypatch.setattr(found, "read", lambda now: [])
        monkeypatch.setattr(pause_state, "pauses_of", lambda _: found)
    watch._is_solo = is_solo
    assert watch._look() == period


def _connections(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each connection."""
    made: list[int] = []
    connect = watch._connect
    monkeypatch.setattr(watch, "_connect", lambda: made.append(1) or connect())
    return made


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.NoPermissionError("No permissions to access a key"),
        redis.exceptions.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
    ],
)
def test_period__where_the_broker_refuses_to_show_them(
    error: Exception, watch: Watch, kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = _connections(watch, monkeypatch)
    kept.read = _fails(error)  # type: ignore[method-assign]
    assert [watch._look(), watch._look()] == [pause_state.PERIOD_OF_NOTHING] * 2
    assert (len(made), len(caplog.records)) == (1, 1)


def test_period__grows_with_other_errors_until_one_look_succeeds(
    watch: Watch, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.read = _fails(redis.exceptions.ResponseError("OOM"))  # type: ignore[method-assign]
    made = _connections(watch, monkeypatch)
    once = pause_state.PERIOD
    periods = [watch._look() for _ in range(30)]
    assert periods[:3] == [2 * once, 4 * once, 8 * once]
    assert periods[-1] == pause_state.LONGEST_PERIOD
    assert len(made) == 30
    del kept.read  # type: ignore[method-assign]
    assert watch._look() == once


def test_watch__heeds_the_pauses_although_nothing_may_come_back(
    watch: Watch, kept: Kept, known: Known, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept.bring_back = _fails(redis.exceptions.NoPermissionError("no scripts"))  # type: ignore[method-assign, assignment]
    kept.found, kept.aside = [pause("a")], frozenset({("else", "b")})
    monkeypatch.setattr(pause_state, "FORSAKEN", 0.0)
    assert [watch._look(), watch._look()] == [pause_state.PERIOD] * 2
    assert known.held() == {"a"}
    assert [each.getMessage() for each in caplog.records if each.name == pause_state.__name__] == [
        "What was put aside of paused tasks cannot come back (NoPermissionError: no scripts): it is tried again."
    ]


def test_period__where_nothing_can_be_kept(
    watch: Watch, kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept.read = _fails(ConfigurationError("not migrated"))  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO):
        assert watch._look() == pause_state.PERIOD_OF_NOTHING
    assert caplog.records == []
