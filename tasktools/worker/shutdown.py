"""What a worker reports when it stops, and a stop that ends within a given time.

Celery's own steps stay: SIGTERM is warm (finish running tasks), SIGQUIT is cold, after a soft shutdown
(worker_soft_shutdown_timeout) in which tasks may still end.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from billiard.exceptions import Terminated, WorkerLostError
from celery import signals
from celery.concurrency.base import BasePool
from celery.concurrency.solo import TaskPool
from celery.worker import state

from tasktools import celery_compat
from tasktools.worker.green_pools import let_cold_stop_wait, report_terminated
from tasktools.worker.pool_flush import keep_given_tasks
from tasktools.worker.requests import snapshot, taken
from tasktools.worker.settlement import Settlement
from tasktools.worker.silent_broker import Silence

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.worker.protocols import Consumer, Message, Named, Request

#: The share of a stop's time for Celery's soft shutdown, and the time for cleaning up after it, in seconds.
SOFT_SHARE = 0.25
CLEANING = 1.0

#: How often to check whether something runs that the stop must wait for, in seconds.
PERIOD = 0.1


class Stop:
    """Follows the stop of the worker of this process, and reports it line by line."""

    _settlement: Settlement
    _silence: Silence | None = None

    def __init__(self, say: Callable[[str], None], *, every_second: bool, grace: float | None = None) -> None:
        self.say = say
        self.every_second = every_second
        self.grace = grace
        self.began: float | None = None
        #: The first call of `begin` takes it and never releases it: a signal may come between two lines.
        self._first = threading.Lock()
        self._running: dict[str, Request] = {}
        self._reserved: dict[str, Request] = {}
        #: The tasks that ran when the stop became cold: only those of them that succeeded have finished.
        self._cut: set[str] = set()
        self._over = threading.Event()
        self._consumer: Consumer | None = None

    def install(self, app: Celery, lost: Mapping[str, Message]) -> None:
        """Make it begin with the first signal that ends the worker. `lost` holds messages, as in Settlement."""
        self._settlement = Settlement(app, lost)
        self._silence = Silence(app, self._over, self._say_aside, lambda: self._leave(0))
        if self.grace is not None:
            app.conf.worker_soft_shutdown_timeout = self.grace * SOFT_SHARE
        let_cold_stop_wait()
        # Celery sends this in its signal handlers, and another signal may interrupt them. Celery's own lock would then deadlock.
        celery_compat.SIGNAL_LOCK.put(signals.worker_shutting_down, threading.RLock())
        signals.worker_shutting_down.connect(lambda how, **_: self.begin(how), weak=False)
        signals.task_failure.connect(self._note_lost, weak=False)
        signals.worker_ready.connect(lambda sender, **_: self._watch(sender), weak=False)

    def be_replaced(self, grace: float) -> None:
        """Another worker already runs: report only once which tasks this one waits for, and wait at most `grace` seconds."""
        self.every_second = False
        _start(self._press, grace, 0.0)

    def begin(self, how: str) -> None:
        """Note the running and the reserved tasks, and report them from a thread: this is called in a signal handler."""
        if not self._first.acquire(blocking=False):
            return
        self.began = time.monotonic()
        if self.grace is not None:  # first: Celery's signal hides any error in here, and the grace must still work
            soft = self.grace * SOFT_SHARE
            _start(self._press, max(0.0, self.grace - soft - CLEANING), soft)
        if self._silence:
            self._silence.arm()
            _start(self._silence.watch)
        self._running = {request.id: request for request in snapshot(state.active_requests)}
        self._reserved = {each.id: each for each in taken(self._consumer) if each.id not in self._running}
        for request in self._all():
            self._settlement.note_return(request)
        _start(self._report)

    def _note_lost(self, task_id: str, exception: BaseException, **_: object) -> None:
        """Note a task whose pool process has gone: a signal to the whole process group ends these processes at once."""
        if isinstance(exception, (WorkerLostError, Terminated)):
            self._cut.add(task_id)

    def _watch(self, consumer: Consumer) -> None:
        """Begin with every stop: by a limit, by remote control, or cold. A cold stop sends its signal after it cancels."""
        if consumer is self._consumer:
            return  # connected again
        self._consumer, worker = consumer, consumer.controller
        report_terminated(consumer.pool)
        keep_given_tasks(consumer.pool)
        if self._silence:
            self._silence.follow(consumer)
        celery_compat.WORKER_STOP.wrap(worker, lambda stop: self._begun(stop, "Warm"))
        if isinstance(consumer.pool, TaskPool):  # solo: a task that still counts as running has called sys.exit()
            celery_compat.WORKER_STOP.wrap(worker, self._cutting)
        celery_compat.SOFT_SHUTDOWN.wrap(worker, lambda wait: self._begun(wait, "Cold"))
        self._settlement.watch(consumer)
        celery_compat.WORKER_TERMINATE.wrap(worker, self._cutting)
        cancel = next((each for each in celery_compat.CANCEL if each.exists(consumer)), None)
        if cancel:
            cancel.wrap(consumer, self._cutting)
        else:
            names = " nor ".join(each.name for each in celery_compat.CANCEL)
            self.say(f"This Celery has neither {names}: the report of a cold stop does not name what is cut off.")

    def _begun(self, function: Callable[..., object], how: str) -> Callable[..., object]:
        def wrapper(*args: object, **options: object) -> object:
            self.begin(how)
            return function(*args, **options)

        return wrapper

    def _cutting(self, function: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **options: object) -> object:
            self._note_cut()
            return function(*args, **options)

        return wrapper

    def _note_cut(self) -> None:
        self._cut |= {request.id for request in snapshot(state.active_requests)}

    def finish(self) -> None:
        """Report what happened to each task; called when the worker has stopped."""
        self._over.set()
        if self.began is None:
            return
        tasks, ended = self._all(), self._ended()
        back = set(filter(self._settlement.is_back, tasks))
        acked = set(filter(_is_acknowledged, tasks))
        self._sum_up("finished", [r for r in tasks if r.id in ended and r in acked])
        again = [r for r in tasks if r.id in ended and r not in acked]
        left = [r for r in tasks if r.id not in ended]
        dropped = self._settlement.dropped({r.id for r in tasks})
        kept: list[Named] = [*(r for r in left if r not in back | acked), *dropped]
        self._sum_up("finished, but will run again", again)
        self._sum_up("went back to the queue", [r for r in left if r in back])
        self._sum_up("not given back", kept)
        if kept or not back.issuperset(again):
            self.say(self._settlement.how_it_returns())
        self._sum_up("cut off and lost", [r for r in left if r in acked - back])

    def _report(self) -> None:
        # A task that a process of the pool has begun counts as reserved until the worker gets a message about it.
        while (left := [r for r in self._all() if r.id not in self._cut]) and not self._over.is_set():
            running = [r for r in left if r in state.active_requests]
            if running:
                self.say(f"waiting for {', '.join(_with_seconds(request) for request in running)}")
                if not self.every_second:
                    return
            self._over.wait(1 if running else PERIOD)

    def _press(self, warm: float, soft: float) -> None:
        """Stop in steps: warm, then soft and cold (SIGQUIT), then exit, each after its time. Without a task, skip SIGQUIT."""
        if self._over.wait(warm):
            return
        runs = bool(snapshot(state.active_requests))
        if runs:
            more = f"they have {soft:g} s more" if soft else "they are stopped"
            _aside(self.say, f"tasks still run after {warm:g} s: {more}")
            if self._can_cut():
                os.kill(os.getpid(), signal.SIGQUIT)
        if not self._over.wait(soft + CLEANING * (not runs or self._can_cut())):
            self._leave(1)

    def _leave(self, code: int) -> None:
        """End the process at once, and report what happened to the tasks."""
        self._note_cut()
        if self._consumer:
            self._settlement.give_back(self._consumer, CLEANING)
        _aside(self.finish).join(CLEANING)
        for child in pool_processes():
            os.kill(child, signal.SIGKILL)
        os._exit(code)

    def _say_aside(self, text: str) -> None:
        _aside(self.say, text).join(CLEANING)

    def _can_cut(self) -> bool:
        """Whether the pool can end a task: with threads it cannot, and Celery's cold shutdown raises NotImplementedError."""
        terminate = celery_compat.TERMINATE_JOB.get(getattr(self._consumer, "pool", None))  # None before it is ready
        return getattr(terminate, "__func__", None) is not BasePool.terminate_job

    def _all(self) -> list[Request]:
        return [*self._running.values(), *self._reserved.values()]

    def _ended(self) -> set[str]:
        """Return the ids of the tasks that have ended: a warm stop waits for all tasks that have begun."""
        begun = {r.id for r in self._all() if r.time_start is not None and not self._settlement.is_returned(r)}
        return {task_id for task_id in begun if task_id not in self._cut or task_id in state.successful_requests}

    def _sum_up(self, what: str, requests: Sequence[Named]) -> None:
        if requests:
            self.say(f"{what}: {', '.join(_name(request) for request in requests)}")


def _start(call: Callable[..., None], *args: object) -> None:
    """Begin `call` in a thread (a greenlet on gevent and eventlet).

    threading.Thread waits until the thread runs. In a signal handler, that may never happen; on these pools, nothing may wait.
    """
    _thread.start_new_thread(call, args)


def _aside(call: Callable[..., None], *args: object) -> threading.Thread:
    """Call a function that writes, in a thread, so that a blocked terminal does not delay the stop."""
    thread = threading.Thread(target=call, args=args, daemon=True)
    thread.start()
    return thread


def pool_processes() -> list[int]:
    """Return the process ids of this worker's pool."""
    from billiard.process import active_children

    return [process.pid for process in active_children() if process.pid is not None]


def _is_acknowledged(request: Request) -> bool:
    """Whether the broker got the acknowledgement; Celery's own flag only says that it should have got it."""
    return bool(request.message.acknowledged)


def _with_seconds(request: Request) -> str:
    seconds = max(0.0, time.time() - request.time_start) if request.time_start else 0.0
    return f"{_name(request)} ({seconds:.0f} s)"


def _name(request: Named) -> str:
    return f"{request.name}[{request.id}]"
