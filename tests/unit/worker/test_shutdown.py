"""A stop begins in signal handlers, which interrupt each other, and ends in time although nobody reads what it says."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, SimpleNamespace
from typing import Any, cast

import pytest
from celery import Celery, signals
from celery.concurrency.solo import TaskPool
from celery.worker import state

from tasktools.worker import shutdown
from tasktools.worker.settlement import Settlement
from tasktools.worker.shutdown import Stop


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    def ring(signum: int, frame: FrameType | None) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers that the test connects go with it."""
    for each in (signals.worker_shutting_down, signals.task_failure, signals.worker_ready):
        monkeypatch.setattr(each, "receivers", [])
        monkeypatch.setattr(each, "lock", threading.Lock())


def test_begin__by_a_signal_that_interrupts_another(receivers: None) -> None:
    stop = Stop(lambda text: None, every_second=False)
    with Celery("shop", set_as_current=False) as app:
        stop.install(app, {})
    with signals.worker_shutting_down.lock:  # the handler that is interrupted is just sending
        signals.worker_shutting_down.send(sender="worker", sig="SIGTERM", how="Warm", exitcode=0)
    stop._over.set()  # nobody stops this worker, which has no broker either
    assert stop.began is not None


def test_begin__is_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop(lambda text: None, every_second=False)
    noted: list[Any] = []
    monkeypatch.setattr(stop, "_all", lambda: noted.append("all") or [])
    stop.begin("Warm")
    stop.begin("Cold")
    assert noted == ["all"]


class Changing(list[Any]):
    """A set that a thread of the pool changes while it is looked through, twice."""

    refused = 0

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        if self.refused < 2:
            self.refused += 1
            raise RuntimeError("Set changed size during iteration")


@pytest.mark.parametrize("name", ["active_requests", "reserved_requests", "scheduled_requests"])
def test_begin__while_the_pool_changes_what_runs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for each in ("active_requests", "reserved_requests", "scheduled_requests"):
        monkeypatch.setattr(state, each, set(), raising=False)
    monkeypatch.setattr(state, name, Changing([SimpleNamespace(id="a")]))
    noted: list[str] = []
    stop = Stop(lambda text: None, every_second=False)
    settlement = SimpleNamespace(note_return=lambda request: noted.append(request.id))
    monkeypatch.setattr(stop, "_settlement", settlement, raising=False)
    monkeypatch.setattr(stop, "_report", lambda: None)
    stop.begin("Warm")
    assert noted == ["a"]


def test_begin__that_fails_still_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop(lambda text: None, every_second=False, grace=8.0)
    pressed: list[float] = []
    monkeypatch.setattr(shutdown, "_start", lambda call, *seconds: pressed.extend(seconds))
    monkeypatch.setattr(stop, "_all", lambda: {}["nothing"])
    with pytest.raises(KeyError):
        stop.begin("Warm")
    assert pressed == [5.0, 2.0]


def test_note_cut__while_the_pool_changes_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop(lambda text: None, every_second=False)
    monkeypatch.setattr(state, "active_requests", Changing([SimpleNamespace(id="a")]))
    stop._note_cut()
    assert stop._cut == {"a"}


def test_press__although_a_terminal_takes_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = threading.Event()
    stop = Stop(lambda text: bool(reads.wait(30)) and None, every_second=False)
    stop._consumer = cast("Any", SimpleNamespace())
    steps: list[Any] = []
    monkeypatch.setattr(state, "active_requests", [SimpleNamespace(id="a")])
    monkeypatch.setattr(shutdown, "CLEANING", 0.1)
    monkeypatch.setattr(shutdown, "pool_processes", list)
    monkeypatch.setattr(stop, "_can_cut", lambda: True)
    given_back = SimpleNamespace(give_back=lambda consumer, limit: steps.append("given back"))
    monkeypatch.setattr(stop, "_settlement", given_back, raising=False)
    monkeypatch.setattr(stop, "finish", lambda: stop.say("finished"))
    monkeypatch.setattr(os, "kill", lambda pid, signum: steps.append(signum))
    monkeypatch.setattr(os, "_exit", steps.append)
    stop._press(0.0, 0.0)
    reads.set()
    assert steps == [signal.SIGQUIT, "given back", 1]


def test_press__idle_worker_has_its_grace_and_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of greenlets notices the stop after up to two seconds."""
    said: list[str] = []
    stop = Stop(said.append, every_second=False)
    monkeypatch.setattr(state, "active_requests", [])
    monkeypatch.setattr(os, "kill", lambda pid, signum: said.append("cut"))
    monkeypatch.setattr(stop, "_leave", lambda code: said.append("left"))
    threading.Timer(0.3, stop._over.set).start()
    stop._press(0.0, 0.0)
    assert (said, stop._over.is_set()) == ([], True)


class Request(SimpleNamespace):
    __hash__ = object.__hash__  # type: ignore[assignment]


def test_solo__task_that_calls_sys_exit_has_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread ran it, and is in the stop of the worker now."""
    said: list[str] = []
    stop = Stop(said.append, every_second=False)
    message = SimpleNamespace(acknowledged=True)
    exited = Request(id="1", name="shop.tasks.exits", time_start=1.0, message=message, _on_reject=None)
    monkeypatch.setattr(state, "active_requests", [exited])
    monkeypatch.setattr(shutdown, "_start", lambda call, *_: call())
    with Celery("shop", set_as_current=False) as app:
        stop._settlement = Settlement(app, {})
    controller = SimpleNamespace(stop=lambda: None, wait_for_soft_shutdown=None, terminate=None)
    pool = TaskPool()
    consumer = SimpleNamespace(
        pool=pool, controller=controller, cancel_active_requests=None, shutdown=None, connection=None
    )
    stop._watch(consumer)
    controller.stop()
    stop.finish()
    assert said == ["cut off and lost: shop.tasks.exits[1]"]


@pytest.mark.parametrize("every_second", [False, True])
def test_tell__a_task_that_counts_as_reserved_when_the_stop_begins(
    monkeypatch: pytest.MonkeyPatch, every_second: bool
) -> None:
    """A process of the pool has begun it, and the worker has not heard of it yet: it was waited for without a word."""
    said: list[str] = []
    active: set[Any] = set()
    begun = Request(id="1", name="shop.tasks.slow", time_start=None)
    stop = Stop(said.append, every_second=every_second)
    stop._reserved = {"1": begun}
    monkeypatch.setattr(state, "active_requests", active)
    monkeypatch.setattr(stop._over, "wait", lambda seconds: active.add(begun) or (len(said) > 1 and stop._over.set()))
    stop._report()
    assert said == ["waiting for shop.tasks.slow[1] (0 s)"] * (1 + every_second)


def test_tell__nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop(lambda text: pytest.fail(text), every_second=True)
    monkeypatch.setattr(stop._over, "wait", lambda seconds: pytest.fail("it waits"))
    stop._report()
