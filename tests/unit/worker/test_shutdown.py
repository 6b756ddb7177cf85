"""A stop begins in signal handlers, which interrupt each other, and ends in time although nobody reads what it says."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery import Celery, signals
from celery.concurrency.solo import TaskPool
from celery.worker import state
from kombu.utils.limits import TokenBucket

from tasktools.worker import shutdown
from tasktools.worker.settlement import Settlement
from tasktools.worker.shutdown import Stop

pytestmark = pytest.mark.usefixtures("no_hang")


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
    hooks = {"cancel_active_requests": None, "shutdown": None, "connection": None}
    consumer = SimpleNamespace(pool=pool, controller=controller, task_buckets={}, **hooks)
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


def task(name: str, *, started: float | None = 1.0, acknowledged: bool = False) -> Any:
    return Request(id=name, name=f"shop.{name}", time_start=started, message=SimpleNamespace(acknowledged=acknowledged))


class Settled:
    """Says of each task what the test says."""

    def __init__(self, *, back: set[str] | None = None, returned: set[str] | None = None, dropped: Any = ()) -> None:
        self.back, self.returned, self.lost = back or set(), returned or set(), list(dropped)
        self.known: set[str] | None = None

    def is_back(self, request: Any) -> bool:
        return request.id in self.back

    def is_returned(self, request: Any) -> bool:
        return request.id in self.returned

    def dropped(self, known: set[str]) -> list[Any]:
        self.known = known
        return self.lost

    def how_it_returns(self) -> str:
        return "It returns."


def finished(settled: Settled, running: list[Any], reserved: list[Any], cut: set[str] | None = None) -> list[str]:
    """Return what is said of these tasks at the end of a stop."""
    said: list[str] = []
    stop = Stop(said.append, every_second=False)
    stop._settlement = cast("Settlement", settled)
    stop.began = 1.0
    stop._running = {each.id: each for each in running}
    stop._reserved = {each.id: each for each in reserved}
    stop._cut = cut or set()
    stop.finish()
    assert stop._over.is_set()
    return said


def test_finish__no_stop_has_begun() -> None:
    stop = Stop(pytest.fail, every_second=False)
    stop.finish()
    assert stop._over.is_set()


def test_finish__finished_and_gone_back() -> None:
    done, also = task("done", acknowledged=True), task("also", acknowledged=True)
    waits = task("waits", started=None)
    settled = Settled(back={"waits"})
    assert finished(settled, [done], [waits, also]) == [
        "finished: shop.done[done], shop.also[also]",
        "went back to the queue: shop.waits[waits]",
    ]
    assert settled.known == {"done", "waits", "also"}


def test_finish__the_broker_could_not_be_informed() -> None:
    done, waits = task("done"), task("waits", started=None)
    dropped = SimpleNamespace(name="shop.gone", id="gone")
    assert finished(Settled(dropped=[dropped]), [done], [waits]) == [
        "finished, but will run again: shop.done[done]",
        "not given back: shop.waits[waits], shop.gone[gone]",
        "It returns.",
    ]


@pytest.mark.parametrize(("back", "more"), [({"done"}, []), (set(), ["It returns."])])
def test_finish__how_a_finished_task_returns_unless_it_is_back(back: set[str], more: list[str]) -> None:
    assert finished(Settled(back=back), [task("done")], []) == ["finished, but will run again: shop.done[done]", *more]


def test_finish__cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was cut off only what succeeded has finished; one that was given back has not finished either."""
    monkeypatch.setattr(state, "successful_requests", {"late"})
    late, lost = task("late", acknowledged=True), task("lost", acknowledged=True)
    returned = task("returned", acknowledged=True)
    settled = Settled(back={"returned"}, returned={"returned"})
    assert finished(settled, [late, lost, returned], [], cut={"late", "lost"}) == [
        "finished: shop.late[late]",
        "went back to the queue: shop.returned[returned]",
        "cut off and lost: shop.lost[lost]",
    ]


def test_install__connects_and_arms(receivers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    monkeypatch.setattr(shutdown, "let_cold_stop_wait", lambda: waits.append("cold"))
    stop = Stop(lambda text: None, every_second=False, grace=8.0)
    begun: list[Any] = []
    monkeypatch.setattr(stop, "begin", begun.append)
    monkeypatch.setattr(stop, "_watch", begun.append)
    lost = {"tag": task("one").message}
    with Celery("shop", set_as_current=False) as app:
        stop.install(app, lost)
        assert app.conf.worker_soft_shutdown_timeout == 2.0
    assert waits == ["cold"]
    assert (stop._settlement._app, stop._settlement._lost) == (app, lost)
    signals.worker_shutting_down.send(sender="worker", sig="SIGTERM", how="Warm", exitcode=0)
    signals.worker_ready.send(sender="consumer")
    assert begun == ["Warm", "consumer"]
    signals.task_failure.send(sender="task", task_id="1", exception=shutdown.WorkerLostError())
    signals.task_failure.send(sender="task", task_id="2", exception=shutdown.Terminated())
    signals.task_failure.send(sender="task", task_id="3", exception=ValueError())
    assert stop._cut == {"1", "2"}
    silence = stop._silence
    assert silence is not None
    assert (silence._app, silence._over) == (app, stop._over)
    assert silence._say == stop._say_aside
    left: list[int] = []
    monkeypatch.setattr(stop, "_leave", left.append)
    silence._leave()
    assert left == [0]


def test_install__without_a_grace_the_soft_shutdown_is_the_projects(receivers: None) -> None:
    with Celery("shop", set_as_current=False) as app:
        app.conf.worker_soft_shutdown_timeout = 3.0
        Stop(lambda text: None, every_second=False).install(app, {})
        assert app.conf.worker_soft_shutdown_timeout == 3.0


def test_begin__tasks_that_run_and_tasks_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, waits, later = task("runs"), task("waits"), task("later")
    monkeypatch.setattr(state, "active_requests", {runs})
    monkeypatch.setattr(state, "reserved_requests", {runs, waits})
    monkeypatch.setattr(state, "scheduled_requests", {later}, raising=False)
    stop = Stop(lambda text: None, every_second=False)
    noted: list[str] = []
    stop._settlement = cast("Settlement", SimpleNamespace(note_return=lambda request: noted.append(request.id)))
    armed: list[str] = []
    silence = SimpleNamespace(arm=lambda: armed.append("armed"), watch=lambda: armed.append("watched"))
    stop._silence = cast("Any", silence)
    started: list[Any] = []
    monkeypatch.setattr(shutdown, "_start", lambda call, *args: started.append((call, args)))
    stop.begin("Warm")
    assert (stop._running, stop._reserved) == ({"runs": runs}, {"waits": waits, "later": later})
    assert sorted(noted) == ["later", "runs", "waits"]
    assert armed == ["armed"]
    assert started == [(silence.watch, ()), (stop._report, ())]


def test_begin__tasks_that_a_rate_limit_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("active_requests", "reserved_requests", "scheduled_requests"):
        monkeypatch.setattr(state, name, set(), raising=False)
    monkeypatch.setattr(shutdown, "_start", lambda call, *args: None)
    bucket = TokenBucket(1.0)
    held = task("held", started=None)
    bucket.add((held, 1))
    stop = Stop(lambda text: None, every_second=False)
    stop._settlement = cast("Settlement", SimpleNamespace(note_return=lambda request: None))
    stop._consumer = cast("Any", SimpleNamespace(task_buckets={"shop.held": bucket, "shop.free": None}))
    stop.begin("Warm")
    bucket.clear_pending()  # as Celery does when it closes the connection
    assert stop._reserved == {"held": held}


class Worker:
    """A worker that Celery would stop, with a pool of processes."""

    def __init__(self, **consumer: Any) -> None:
        self.called: list[str] = []
        names = ("stop", "terminate", "wait_for_soft_shutdown")
        self.controller = SimpleNamespace(**{name: self._noting(name) for name in names})
        pool = SimpleNamespace(is_green=False, stop=lambda: None)
        self.consumer = SimpleNamespace(
            pool=pool, controller=self.controller, connection=None, shutdown=lambda: None, **consumer
        )

    def _noting(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> str:
            self.called.append(f"{name} {args} {options}")
            return name

        return call


def watched(monkeypatch: pytest.MonkeyPatch, worker: Worker, said: list[str]) -> Stop:
    stop = Stop(said.append, every_second=False)
    with Celery("shop", set_as_current=False) as app:
        stop._settlement = Settlement(app, {})
    monkeypatch.setattr(stop, "begin", lambda how: worker.called.append(how))
    monkeypatch.setattr(stop, "_note_cut", lambda: worker.called.append("cut"))
    monkeypatch.setattr(shutdown, "report_terminated", lambda pool: worker.called.append("reports"))
    stop._watch(cast("Any", worker.consumer))
    return stop


@pytest.mark.parametrize("cancel", ["cancel_active_requests", "cancel_all_unacked_requests"])
def test_watch__begins_with_every_stop(monkeypatch: pytest.MonkeyPatch, cancel: str) -> None:
    said: list[str] = []
    worker = Worker(**{cancel: lambda *args: "cancelled"})
    stop = watched(monkeypatch, worker, said)
    stop._watch(cast("Any", worker.consumer))  # connected again
    assert worker.controller.stop(1, exitcode=2) == "stop"
    assert worker.controller.wait_for_soft_shutdown() == "wait_for_soft_shutdown"
    assert worker.controller.terminate(in_sighandler=True) == "terminate"
    assert getattr(worker.consumer, cancel)() == "cancelled"
    assert worker.called == [
        "reports",
        "Warm",
        "stop (1,) {'exitcode': 2}",
        "Cold",
        "wait_for_soft_shutdown () {}",
        "cut",
        "terminate () {'in_sighandler': True}",
        "cut",
    ]
    assert said == []


def test_watch__a_celery_that_cancels_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    watched(monkeypatch, Worker(), said)
    assert said == [
        "This Celery has neither cancel_active_requests nor cancel_all_unacked_requests: "
        "the report of a cold stop does not name what is cut off."
    ]


def test_watch__follows_the_silence_and_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(cancel_active_requests=lambda: None)
    stop = Stop(lambda text: None, every_second=False)
    followed: list[Any] = []
    stop._silence = cast("Any", SimpleNamespace(follow=followed.append))
    stop._settlement = cast("Any", SimpleNamespace(watch=followed.append))
    stop._watch(cast("Any", worker.consumer))
    assert followed == [worker.consumer, worker.consumer]


@pytest.mark.parametrize("own", [True, False])
def test_can_cut__a_pool_with_a_way_to_end_a_task(own: bool) -> None:
    class Pool(shutdown.BasePool):
        if own:

            def terminate_job(self, pid: int, signal: Any = None) -> None: ...

    stop = Stop(lambda text: None, every_second=False)
    assert stop._can_cut()  # before the worker is ready nothing runs
    stop._consumer = cast("Any", SimpleNamespace(pool=Pool()))
    assert stop._can_cut() is own


def test_be_replaced__says_once_what_it_waits_for_and_is_cold_after_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(shutdown, "_start", lambda call, *args: started.append((call, args)))
    stop = Stop(lambda text: None, every_second=True)
    stop.be_replaced(7.0)
    assert not stop.every_second
    assert started == [(stop._press, (7.0, 0.0))]


@pytest.mark.parametrize(("soft", "left"), [(2.0, "they have 2 s more"), (0.0, "they are stopped")])
@pytest.mark.parametrize("can_cut", [True, False])
def test_press__what_it_says_and_how_long_it_waits(
    monkeypatch: pytest.MonkeyPatch, soft: float, left: str, can_cut: bool
) -> None:
    said: list[Any] = []
    stop = Stop(said.append, every_second=False)
    monkeypatch.setattr(stop._over, "wait", lambda seconds: said.append(seconds))
    monkeypatch.setattr(state, "active_requests", [task("runs")])
    monkeypatch.setattr(stop, "_can_cut", lambda: can_cut)
    monkeypatch.setattr(shutdown, "_aside", lambda call, *args: call(*args))
    monkeypatch.setattr(os, "kill", lambda pid, signum: said.append((pid, signum)))
    monkeypatch.setattr(stop, "_leave", lambda code: said.append(f"left {code}"))
    stop._press(5.0, soft)
    cut = [(os.getpid(), signal.SIGQUIT)] if can_cut else []
    assert said == [5.0, f"tasks still run after 5 s: {left}", *cut, soft + can_cut, "left 1"]


def test_press__over_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    stop = Stop(done.append, every_second=False)
    stop._over.set()
    monkeypatch.setattr(state, "active_requests", [task("runs")])
    monkeypatch.setattr(shutdown, "_aside", lambda call, *args: call(*args))
    monkeypatch.setattr(os, "kill", lambda pid, signum: done.append(signum))
    monkeypatch.setattr(stop, "_leave", done.append)
    stop._press(5.0, 2.0)
    assert done == []


@pytest.mark.parametrize("ready", [True, False])
def test_leave__gives_back_and_says_and_kills_the_pool(monkeypatch: pytest.MonkeyPatch, ready: bool) -> None:
    steps: list[Any] = []
    stop = Stop(lambda text: None, every_second=False)
    consumer = SimpleNamespace() if ready else None
    stop._consumer = cast("Any", consumer)
    settlement = SimpleNamespace(give_back=lambda *args: steps.append(args))
    monkeypatch.setattr(stop, "_settlement", settlement, raising=False)
    monkeypatch.setattr(stop, "_note_cut", lambda: steps.append("cut"))
    monkeypatch.setattr(stop, "finish", lambda: steps.append("finished"))
    monkeypatch.setattr(shutdown, "pool_processes", lambda: [11, 12])
    monkeypatch.setattr(os, "kill", lambda pid, signum: steps.append((pid, signum)))
    monkeypatch.setattr(os, "_exit", steps.append)
    stop._leave(1)
    killed = [(11, signal.SIGKILL), (12, signal.SIGKILL)]
    assert steps == ["cut", *[(consumer, shutdown.CLEANING)] * ready, "finished", *killed, 1]


def test_aside__is_a_thread_that_holds_up_no_end() -> None:
    said: list[str] = []
    stop = Stop(said.append, every_second=False)
    stop._say_aside("text")
    assert said == ["text"]
    thread = shutdown._aside(said.append, "more")
    assert thread.daemon


@pytest.mark.parametrize(("started", "text"), [(None, "0 s"), (98.0, "2 s"), (101.0, "0 s")])
def test_report__how_long_a_task_has_run(monkeypatch: pytest.MonkeyPatch, started: float | None, text: str) -> None:
    monkeypatch.setattr(shutdown.time, "time", lambda: 100.0)
    assert shutdown._with_seconds(task("one", started=started)) == f"shop.one[one] ({text})"


def test_report__looks_often_until_something_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    stop = Stop(lambda text: None, every_second=True)
    stop._running = {"1": task("1"), "2": task("2")}
    stop._cut = {"2"}
    active: list[Any] = []
    monkeypatch.setattr(state, "active_requests", active)

    def wait(seconds: float) -> None:
        waited.append(seconds)
        active.append(stop._running["1"])
        if len(waited) == 2:
            stop._over.set()

    monkeypatch.setattr(stop._over, "wait", wait)
    stop._report()
    assert waited == [shutdown.PERIOD, 1]


def test_note_cut__adds_to_what_was_cut_before(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop(lambda text: None, every_second=False)
    stop._cut = {"a"}
    monkeypatch.setattr(state, "active_requests", [task("b")])
    stop._note_cut()
    assert stop._cut == {"a", "b"}


def test_pool_processes__are_those_that_billiard_has_started() -> None:
    from billiard import Process

    assert shutdown.pool_processes() == []
    process = Process(target=signal.pause)
    process.start()
    try:
        assert shutdown.pool_processes() == [process.pid]
    finally:
        os.kill(process.pid, signal.SIGKILL)  # the handler of SIGTERM is that of the test process: coverage has one
        process.join()
