from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker import state

from tasktools.worker import admission
from tasktools.worker.admission import Intake, Limits, _IntakeStep


@pytest.fixture(autouse=True)
def requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has nothing to do."""
    for name in ("active_requests", "reserved_requests"):
        monkeypatch.setattr(state, name, set())
    monkeypatch.setattr(state, "should_stop", None)


@pytest.mark.parametrize(
    ("limits", "is_one"),
    [(Limits(), False), (Limits(tasks=1), True), (Limits(seconds=0.1), True), (Limits(drain=True), True)],
)
def test_limits__are_there_or_not(limits: Limits, is_one: bool) -> None:
    assert bool(limits) is is_one


def test_full__at_the_number_and_no_sooner() -> None:
    intake = Intake(Limits(tasks=2))
    assert not intake.is_full
    intake.taken = 1
    assert not intake.is_full
    intake.taken = 2
    assert intake.is_full
    assert not Intake(Limits()).is_full


def test_admits__not_while_paused_or_full() -> None:
    intake = Intake(Limits(tasks=1))
    assert intake.admits(1)
    intake.pause()
    assert not intake.admits(1)
    intake.resume()
    assert intake.admits(1)
    intake.taken = 1
    assert not intake.admits(1)


@pytest.mark.parametrize(("supervised", "reserved", "admitted"), [(True, 1, True), (True, 2, False), (False, 9, True)])
def test_admits__a_supervised_worker_reserves_none_ahead(supervised: bool, reserved: int, admitted: bool) -> None:
    state.reserved_requests.update(range(reserved))
    assert Intake(Limits(), supervised=supervised).admits(2) is admitted


def never() -> int:
    pytest.fail("the queues are asked")


def test_done__after_its_time_whatever_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    intake = Intake(Limits(seconds=10))
    state.active_requests.add("runs")
    monkeypatch.setattr(admission.time, "monotonic", lambda: intake.began + 9.9)
    assert not intake.has_done_enough(never)
    monkeypatch.setattr(admission.time, "monotonic", lambda: intake.began + 10)
    assert intake.has_done_enough(never)


@pytest.mark.parametrize("kind", ["active_requests", "reserved_requests"])
def test_done__not_while_it_has_tasks(kind: str) -> None:
    intake = Intake(Limits(tasks=1, drain=True))
    intake.taken = 1
    getattr(state, kind).add("one")
    assert not intake.has_done_enough(never)
    getattr(state, kind).clear()
    assert intake.has_done_enough(never)


@pytest.mark.parametrize(("queued", "done"), [(0, True), (1, False)])
def test_done__drained_when_the_queues_are_empty(queued: int, done: bool) -> None:
    assert Intake(Limits(drain=True)).has_done_enough(lambda: queued) is done
    assert not Intake(Limits(tasks=5)).has_done_enough(never)


class Delivery:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def shut(self) -> None:
        self.heard.append("shut")

    def reopen(self) -> None:
        self.heard.append("reopen")

    def refuse(self, message: Any) -> None:
        self.heard.append(message)

    def close(self) -> None:
        self.heard.append("close")


class Bench:
    """A step on a consumer that is not Celery's."""

    def __init__(self, intake: Intake, **consumer: Any) -> None:
        self.begun: list[Any] = []
        self.handled: list[Any] = []
        pool = SimpleNamespace(is_green=False, uses_semaphore=True, num_processes=3)
        self.consumer = SimpleNamespace(
            on_task_request=self.begun.append,
            create_task_handler=lambda: self.handled.append,
            pool=pool,
            hub=object(),
            controller=SimpleNamespace(max_concurrency=None),
            **consumer,
        )
        step = type("Step", (_IntakeStep,), {"name": "step", "intake": intake})
        self.intake = intake
        self.step = step(self.consumer)
        self.delivery = self.step._delivery = Delivery()
        intake._step = self.step


@pytest.fixture
def bench() -> Bench:
    return Bench(Intake(Limits(tasks=1)))


class Start(Bench):
    """A step that starts, on a broker of this kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, driver: str, intake: Intake, **pool: Any) -> None:
        super().__init__(intake)
        self.made: list[Any] = []
        self.later: list[float] = []
        self.consumer.connection = SimpleNamespace(transport=SimpleNamespace(driver_type=driver))
        self.consumer.timer = SimpleNamespace(call_after=lambda seconds, call: self.later.append(seconds))
        vars(self.consumer.pool).update(pool)
        for kind in ("Asked", "Pushed"):
            monkeypatch.setattr(admission, kind, lambda *args, kind=kind: self._make(kind, args))
        monkeypatch.setattr(admission, "look_again_soon", lambda *args: self.made.append(["look again", *args]))
        monkeypatch.setattr(admission, "Waker", lambda hub: self.made.append(["waker", hub]) or SimpleNamespace())
        self.step._delivery = None
        intake._step = None
        self.step.start(self.consumer)

    def _make(self, kind: str, args: tuple[Any, ...]) -> Delivery:
        self.made.append([kind, *args])
        return self.delivery


@pytest.mark.parametrize("supervised", [False, True])
def test_start__on_redis(monkeypatch: pytest.MonkeyPatch, supervised: bool) -> None:
    bench = Start(monkeypatch, "redis", Intake(Limits(), supervised=supervised))
    beside = bench.step._waiting.connection if supervised else None
    assert bench.made == [["Asked", bench.consumer, bench.step._admits, beside]]
    assert bench.step._delivery is bench.delivery
    assert bench.intake._step is bench.step
    assert (bench.delivery.heard, bench.later, bench.step._waker) == ([], [], None)


def test_start__on_redis_with_greenlets(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Start(monkeypatch, "redis", Intake(Limits()), is_green=True)
    assert bench.made[1] == ["look again", bench.consumer.connection, bench.step._admits]


def test_start__on_a_broker_that_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Start(monkeypatch, "amqp", Intake(Limits(tasks=5)), is_green=True)
    [[kind, consumer, is_shut]] = bench.made
    assert (kind, consumer, is_shut()) == ("Pushed", bench.consumer, False)
    bench.intake.paused = True
    assert is_shut()
    assert bench.later == [admission.PERIOD]


def test_start__while_it_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    intake = Intake(Limits())
    intake.pause()
    assert Start(monkeypatch, "redis", intake).delivery.heard == ["shut"]


def test_start__pool_without_a_semaphore_has_its_loop_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Start(monkeypatch, "redis", Intake(Limits()), uses_semaphore=False)
    assert bench.made[1] == ["waker", bench.consumer.hub]
    assert bench.step._waker is not None
    bench.step._waker.close = lambda: bench.made.append("closed")
    bench.step.stop(bench.consumer)
    assert (bench.made[-1], bench.step._waker) == ("closed", None)


@pytest.fixture
def memory() -> Iterator[Celery]:
    with Celery("shop", broker="memory://", set_as_current=False) as app:
        yield app


@pytest.mark.parametrize("supervised", [False, True])
def test_install__adds_the_step_with_this_intake(
    memory: Celery, monkeypatch: pytest.MonkeyPatch, supervised: bool
) -> None:
    separated: list[Any] = []
    monkeypatch.setattr(admission.remote_control, "separate", separated.append)
    intake = Intake(Limits(), supervised=supervised)
    intake.install(memory)
    [step] = memory.steps["consumer"]
    assert step.name == "tasktools.worker.admission.IntakeStep"
    assert step(Bench(intake).consumer, more=1).intake is intake
    assert separated == [memory] * supervised


def test_step__before_it_starts_has_nothing_to_shut() -> None:
    bench = Bench(Intake(Limits()))
    bench.step._delivery = None
    bench.step.shut()
    bench.step.reopen()
    bench.step.stop(bench.consumer)


def test_request__is_counted_and_beyond_the_number_left_for_another_worker(bench: Bench) -> None:
    state.reserved_requests.update({"first", "second"})
    bench.consumer.on_task_request("first")
    bench.consumer.on_task_request("second")
    assert (bench.begun, bench.intake.taken) == (["first"], 1)
    assert state.reserved_requests == {"first"}


def test_message__goes_back_while_the_tap_is_shut() -> None:
    bench = Bench(Intake(Limits()))
    handle = bench.consumer.create_task_handler()
    handle("one")
    bench.intake.paused = True
    handle("two")
    bench.intake.paused = False
    bench.intake.refuses = lambda: True
    handle("three")
    assert (bench.handled, bench.delivery.heard) == (["one"], ["two", "three"])


def test_message__before_the_step_has_started_is_handled() -> None:
    bench = Bench(Intake(Limits()))
    bench.step._delivery = None
    bench.intake.paused = True
    bench.consumer.create_task_handler()("one")
    assert bench.handled == ["one"]


def test_pause_and_resume__reach_the_broker(bench: Bench) -> None:
    bench.intake.pause()
    bench.intake.resume()
    assert bench.delivery.heard == ["shut", "reopen"]


def test_stop__leaves_nothing_open(bench: Bench) -> None:
    closed: list[str] = []
    bench.step._timer = SimpleNamespace(cancel=lambda: closed.append("timer"))
    bench.step._waiting._beside = SimpleNamespace(release=lambda: closed.append("connection"))
    bench.step._waker = SimpleNamespace(close=lambda: closed.append("waker"))
    bench.step.stop(bench.consumer)
    assert closed == ["timer", "connection", "waker"]
    assert bench.delivery.heard == ["close"]
    assert bench.intake._step is None
    bench.intake.pause()  # nobody is there to hear it


@pytest.mark.parametrize(
    ("hub", "green", "highest", "processes", "room"),
    [
        (True, False, None, 3, 3),
        (True, False, 5, 3, 5),
        (True, False, None, 0, 1),
        (False, True, None, 100, 100),
        (False, False, None, 3, sys.maxsize),
    ],
)
def test_room__is_what_the_pool_can_run(
    bench: Bench, hub: bool, green: bool, highest: int | None, processes: int, room: int
) -> None:
    bench.consumer.hub = object() if hub else None
    bench.consumer.pool.is_green = green
    bench.consumer.pool.num_processes = processes
    bench.consumer.controller.max_concurrency = highest
    assert bench.step._room() == room


def test_admits__wakes_the_loop_again_unless_it_is_paused() -> None:
    bench = Bench(Intake(Limits(), supervised=True))
    woken: list[str] = []
    bench.step._waker = SimpleNamespace(wake_soon=lambda: woken.append("soon"))
    assert bench.step._admits()
    state.reserved_requests.update(range(3))
    assert not bench.step._admits()
    assert woken == ["soon"]
    bench.intake.paused = True
    assert not bench.step._admits()
    assert woken == ["soon"]


def test_look__ends_the_worker_or_looks_again(bench: Bench) -> None:
    later: list[Any] = []
    bench.consumer.timer = SimpleNamespace(call_after=lambda seconds, call: later.append((seconds, call)))
    bench.step._look()
    assert (later, state.should_stop) == ([(admission.PERIOD, bench.step._look)], None)
    bench.intake.taken = 1
    bench.step._look()
    assert (len(later), state.should_stop) == (1, 0)


def test_look__a_step_that_has_stopped_looks_no_more(bench: Bench) -> None:
    bench.intake._step = None
    bench.step._look()  # there is no timer
    assert state.should_stop is None


def test_look__drained_only_if_nothing_was_under_way_when_its_queues_were_empty() -> None:
    """A broker that pushes counts a message no longer that it has sent and the worker has not read."""
    bench = Bench(Intake(Limits(drain=True)))
    bench.consumer.timer = SimpleNamespace(call_after=lambda seconds, call: None)
    waiting = bench.step._waiting = SimpleNamespace(count=lambda: 0)
    bench.step._look()
    assert (bench.delivery.heard, state.should_stop) == (["shut"], None)
    assert bench.step._refuses("under way")  # it goes back to its queue
    assert not bench.step._admits()
    waiting.count = lambda: 1
    bench.step._look()
    assert (bench.delivery.heard, state.should_stop) == (["shut", "under way", "reopen"], None)
    assert bench.step._admits()
    bench.step._look()
    assert bench.delivery.heard == ["shut", "under way", "reopen"]
    waiting.count = lambda: 0
    bench.step._look()
    assert (bench.delivery.heard[3:], state.should_stop) == (["shut"], None)
    bench.step._look()
    assert state.should_stop == 0


def test_stop__of_a_step_that_looks_twice_lets_the_next_one_take(bench: Bench) -> None:
    bench.intake.closing = True
    bench.step.stop(bench.consumer)
    assert not bench.intake.is_shut
