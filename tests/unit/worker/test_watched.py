"""What a worker lets be seen of itself, to those who judge whether it is alive."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from celery.concurrency.solo import TaskPool
from celery.worker import state
from celery.worker.request import Request

from tasktools.health.answer import Limits
from tasktools.health.gauge import Gauge
from tasktools.health.tally import Tally
from tasktools.health.worker_watch import LOST, RUNNING, STOPPING, WorkerWatch
from tasktools.worker import numbers
from tasktools.worker.watched import PoolFacts, WatchedStep, WatchedWorker, install


class Timer:
    """A timer whose calls the test makes."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.schedule = SimpleNamespace(queue=[])

    def call_after(self, seconds: float, call: Any, args: Any = ()) -> Any:
        entry = SimpleNamespace(call=call, args=args, is_cancelled=False)
        entry.cancel = lambda: setattr(entry, "is_cancelled", True)
        self.calls.append(entry)
        return entry

    def fire(self) -> None:
        entry = self.calls.pop()
        entry.call(*entry.args)


class Consumer:
    """Of Celery's consumer, what is watched."""

    def __init__(self, *, hub: object = "a hub", **conf: Any) -> None:
        self.app = SimpleNamespace(conf=conf)
        self.controller = SimpleNamespace(stop=lambda *_, **__: "stopped")
        self.hub = hub
        processes = [11, 12, os.getpid()]
        self.pool: Any = SimpleNamespace(
            num_processes=2, is_green=False, uses_semaphore=True, info={"processes": processes}
        )
        self.timer = Timer()
        self.connection = SimpleNamespace(
            transport=SimpleNamespace(driver_type="redis"), drain_events=lambda **_: "drained"
        )
        self.task_consumer = SimpleNamespace(queues=[SimpleNamespace(name="celery"), SimpleNamespace(name="mails")])
        self.task_buckets: dict[str, Any] = {}

    def create_task_handler(self) -> Any:
        return lambda message: f"handled {message}"


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=1000.0)


@pytest.fixture
def watch(clock: SimpleNamespace) -> WorkerWatch:
    return WorkerWatch(Limits(), clock=lambda: clock.now)


@pytest.fixture
def worker(watch: WorkerWatch) -> WatchedWorker:
    return WatchedWorker(watch, None)


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No task runs, and nobody has asked the worker to stop."""
    for name in ("reserved_requests", "active_requests"):
        monkeypatch.setattr(state, name, set())
    for name in ("should_stop", "should_terminate"):
        monkeypatch.setattr(state, name, None)


def step_of(worker: WatchedWorker, consumer: Consumer) -> WatchedStep:
    class Step(WatchedStep):
        watched = worker

    return Step(consumer)  # type: ignore[arg-type]


def test_start__the_worker_runs_and_its_queues_are_known(worker: WatchedWorker) -> None:
    assert worker.queues() == []
    consumer = Consumer()
    step_of(worker, consumer).start(consumer)  # type: ignore[arg-type]
    assert (worker.watch.phase, worker.watch.can_look) == (RUNNING, True)
    assert worker.queues() == ["celery", "mails"]


def test_paused__are_the_queues_that_the_worker_leaves_alone(worker: WatchedWorker) -> None:
    assert worker.paused() == frozenset()
    consumer: Any = Consumer()
    worker.consumer = consumer
    assert worker.paused() == frozenset()
    consumer.tasktools_pausing = SimpleNamespace(known=SimpleNamespace(held=lambda: frozenset({"mails"})))
    assert worker.paused() == {"mails"}
    assert worker.queues() == ["celery", "mails"]


def test_loop__its_timer_says_that_it_turns(worker: WatchedWorker, clock: SimpleNamespace) -> None:
    consumer = Consumer()
    step = step_of(worker, consumer)
    step.start(consumer)  # type: ignore[arg-type]
    for _ in range(3):
        clock.now += 100
        consumer.timer.fire()
        assert worker.watch._turned == clock.now
    [entry] = consumer.timer.calls
    step.stop(consumer)  # type: ignore[arg-type]
    assert entry.is_cancelled
    consumer.timer.fire()
    assert consumer.timer.calls == []


def test_loop__without_a_hub_turns_when_it_waits(worker: WatchedWorker, clock: SimpleNamespace) -> None:
    consumer = Consumer(hub=None)
    step_of(worker, consumer).start(consumer)  # type: ignore[arg-type]
    clock.now += 100
    assert consumer.connection.drain_events(timeout=2) == "drained"
    assert worker.watch._turned == clock.now
    assert consumer.timer.calls == []


def test_message__counts_and_is_handled(worker: WatchedWorker) -> None:
    consumer = Consumer()
    step = step_of(worker, consumer)
    for taken in (1, 2):
        step.start(consumer)  # type: ignore[arg-type]
        assert consumer.create_task_handler()("one") == "handled one"
        assert worker.watch.taken == taken


def test_message__of_a_paused_task_was_taken_whatever_the_order_of_the_steps(worker: WatchedWorker) -> None:
    consumer: Any = Consumer()
    step = step_of(worker, consumer)
    consumer.create_task_handler = lambda: lambda message: "refused"  # a step whose turn is later wraps it
    step.start(consumer)
    assert consumer.create_task_handler()("one") == "refused"
    assert worker.watch.taken == 1


@pytest.mark.parametrize(
    ("stop", "terminate", "phase"),
    [(None, None, LOST), (0, None, STOPPING), (None, 0, STOPPING)],
    ids=["lost", "warm", "cold"],
)
def test_stop__of_the_consumer_is_a_lost_connection_or_the_end(
    worker: WatchedWorker, monkeypatch: pytest.MonkeyPatch, stop: Any, terminate: Any, phase: str
) -> None:
    consumer = Consumer()
    step = step_of(worker, consumer)
    step.start(consumer)  # type: ignore[arg-type]
    monkeypatch.setattr(state, "should_stop", stop)
    monkeypatch.setattr(state, "should_terminate", terminate)
    step.stop(consumer)  # type: ignore[arg-type]
    assert worker.watch.phase == phase


def test_stop__of_the_worker_is_known_before_its_tasks_have_ended(worker: WatchedWorker) -> None:
    consumer = Consumer()
    step_of(worker, consumer).start(consumer)  # type: ignore[arg-type]
    assert consumer.controller.stop(exitcode=0) == "stopped"
    assert worker.watch.phase == STOPPING


def test_install__follows_the_signal_of_a_stop(watch: WorkerWatch) -> None:
    before = list(signals.worker_shutting_down.receivers)
    try:
        with Celery("any", set_as_current=False) as app:
            worker = install(app, watch)
            [step] = [each for each in app.steps["consumer"] if issubclass(each, WatchedStep)]
            assert step.watched is worker
        signals.worker_shutting_down.send(sender="worker", how="Warm", sig="SIGTERM", exitcode=0)
    finally:
        signals.worker_shutting_down.receivers[:] = before
        signals.worker_shutting_down.sender_receivers_cache.clear()
    assert watch.phase == STOPPING


def facts(**conf: Any) -> tuple[PoolFacts, Consumer]:
    consumer = Consumer(**conf)
    return PoolFacts(consumer), consumer  # type: ignore[arg-type]


def test_pool__which_kinds_stop_the_loop() -> None:
    pool, consumer = facts()
    assert not pool.stops_loop()
    consumer.hub = None
    assert pool.stops_loop()
    consumer.pool.uses_semaphore = False  # threads
    assert not pool.stops_loop()
    consumer.pool.is_green = True
    assert pool.stops_loop()
    consumer.pool = TaskPool()
    assert pool.stops_loop()
    assert pool.size() == 1


def test_pool__how_long_tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    requests = {SimpleName(started) for started in (now - 5, now + 5, None)}
    monkeypatch.setattr(state, "active_requests", requests)
    assert sorted(map(round, facts()[0].running())) == [0, 5]


class SimpleName:
    def __init__(self, time_start: float | None) -> None:
        self.time_start = time_start


def test_pool__what_takes_up_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three, later = (Request.__new__(Request) for _ in range(4))
    for each in (one, two, three, later):
        each._eventer = None
    monkeypatch.setattr(state, "reserved_requests", [one, two])
    monkeypatch.setattr(state, "active_requests", [one])
    pool, consumer = facts()
    consumer.task_buckets = {"limited": SimpleNamespace(contents=[(three, 1)]), "free": None}
    entry = SimpleNamespace(entry=SimpleNamespace(args=(later, 1)))
    consumer.timer.schedule.queue = [
        entry,
        SimpleNamespace(entry=SimpleNamespace(args=())),
        SimpleNamespace(entry=None),
    ]
    assert (pool.in_hand(), pool.due()) == (3, 2)
    consumer.app.conf["worker_eta_task_limit"] = 10
    assert (pool.in_hand(), pool.due()) == (4, 2)


def test_pool__how_many_tasks_have_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "total_count", {"a": 2, "b": 3})
    assert facts()[0].begun() == 5


def test_restarts__are_processes_that_took_the_place_of_others(worker: WatchedWorker) -> None:
    assert (worker.pool_processes(), worker.restarts()) == ([], 0)
    consumer = Consumer()
    worker.consumer = consumer  # type: ignore[assignment]
    assert worker.pool_processes() == [11, 12]
    assert worker.restarts() == 0
    consumer.pool.info = {"processes": [12, 13]}
    assert (worker.pool_processes(), worker.restarts()) == ([12, 13], 1)
    consumer.pool.info = {"processes": [12, 13, 14]}  # it has grown
    assert (worker.pool_processes(), worker.restarts()) == ([12, 13, 14], 1)
    consumer.pool.info = {"processes": [15]}
    assert (worker.pool_processes(), worker.restarts()) == ([15], 2)


@pytest.fixture
def counters() -> Iterator[None]:
    kinds = (signals.task_received, signals.task_unknown, signals.task_rejected, signals.task_revoked)
    before = [list(each.receivers) for each in kinds]
    yield
    for each, receivers in zip(kinds, before, strict=True):
        each.receivers[:] = receivers
        each.sender_receivers_cache.clear()


def test_numbers__are_there_before_and_after_the_start(worker: WatchedWorker, clock: SimpleNamespace) -> None:
    def values() -> dict[str, Any]:
        return {each.name: each.values for each in numbers.gauges(worker) if isinstance(each, Gauge)}

    before = values()
    assert (before["tasktools_worker_connected"], before["tasktools_pool_size"]) == ({"": 0.0}, {})
    consumer = Consumer()
    step_of(worker, consumer).start(consumer)  # type: ignore[arg-type]
    clock.now += 7
    worker.watch.looked({"celery": 2, "mails": 0}, {"celery": 3.5})
    after = values()
    assert after["tasktools_worker_up_seconds"] == {"": 7.0}
    assert after["tasktools_queue_messages"] == {"celery": 2, "mails": 0}
    assert after["tasktools_queue_oldest_seconds"] == {"celery": 3.5, "mails": 0.0}
    assert (after["tasktools_pool_size"], after["tasktools_pool_busy"]) == ({"": 2.0}, {"": 0.0})
    assert after["tasktools_resident_memory_bytes"]["main"] > 1e6
    worker.watch.looked({"celery": 2}, {})
    assert values()["tasktools_queue_oldest_seconds"] == {}


def test_tally__is_fed_by_the_pool(watch: WorkerWatch, counters: None) -> None:
    tally = Tally({"shop.add"})
    consumer = Consumer()
    consumer.pool.apply_async = lambda target, *args, **options: options
    step_of(WatchedWorker(watch, tally), consumer)
    signals.task_unknown.send(sender="worker", name="x", id="1", message=None, exc=None)
    assert tally.states == {("unknown", "unregistered"): 1}
    assert consumer.pool.apply_async("a target", callback=print) == {"callback": print}
