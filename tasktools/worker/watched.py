"""What a worker lets be seen of its loop, its pool and its tasks, for those who ask whether it is alive (tasktools.health)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from celery import bootsteps, signals
from celery.concurrency.solo import TaskPool
from celery.worker import state
from celery.worker.request import Request as CeleryRequest

from tasktools import celery_compat
from tasktools.health.looker import can_look
from tasktools.health.worker_watch import WorkerWatch
from tasktools.worker.counted import counting
from tasktools.worker.pausing import held
from tasktools.worker.requests import rate_limited, snapshot
from tasktools.worker.system_exit import fail_on_exit

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection

    from tasktools.health.tally import Tally
    from tasktools.worker.protocols import Consumer, Entry, Message

#: Seconds between two calls of the loop's timer.
PERIOD = 1.0


def install(app: Celery, watch: WorkerWatch, tally: Tally | None = None) -> WatchedWorker:
    """Add the step to the app whose worker is about to start in this process. With `tally`, its tasks are counted."""
    worker = WatchedWorker(watch, tally)

    class Step(WatchedStep):
        name = f"{__name__}.WatchedStep"
        watched = worker

    app.steps["consumer"].add(Step)
    signals.worker_shutting_down.connect(lambda **_: watch.stopping(), weak=False)
    return worker


class WatchedWorker:
    """The worker of this process, as far as it is known."""

    def __init__(self, watch: WorkerWatch, tally: Tally | None) -> None:
        self.watch = watch
        self.tally = tally
        self.consumer: Consumer | None = None
        #: The processes of the pool that were seen so far, and how many there were at most.
        self._seen: set[int] = set()
        self._most = 0
        self._started = 0

    def queues(self) -> list[str]:
        """Return the names of the queues that it takes from."""
        task_consumer = getattr(self.consumer, "task_consumer", None)
        return [queue.name for queue in snapshot(task_consumer.queues)] if task_consumer is not None else []

    def paused(self) -> frozenset[str]:
        """Return the queues that it leaves alone because they are paused."""
        return held(self.consumer) if self.consumer is not None else frozenset()

    def pool_processes(self) -> list[int]:
        """Return the ids of the pool's processes; [] for a pool without."""
        info = getattr(self.consumer.pool, "info", {}) if self.consumer else {}
        found = [each for each in info.get("processes") or () if isinstance(each, int) and each != os.getpid()]
        self._started += len(set(found) - self._seen)
        self._seen = set(found)
        self._most = max(self._most, len(found))
        return found

    def restarts(self) -> int:
        """Return how many processes of the pool have taken the place of others, as far as `pool_processes` has seen them."""
        return max(0, self._started - self._most)


class PoolFacts:
    """What Celery knows of the tasks of a worker (tasktools.health.worker_watch.Pool)."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def stops_loop(self) -> bool:
        """The pool solo runs a task in the thread of the loop. Those of gevent and eventlet wait there for room.

        So does prefork on a transport without a hub.
        """
        pool = self._consumer.pool
        waits = pool.is_green or (self._consumer.hub is None and pool.uses_semaphore)
        return waits or isinstance(pool, TaskPool)

    def size(self) -> int:
        return int(getattr(self._consumer.pool, "num_processes", 0) or 0)  # a pool that has stopped may have lost it

    def running(self) -> list[float]:
        now = time.time()
        return [max(0.0, now - each.time_start) for each in snapshot(state.active_requests) if each.time_start]

    def in_hand(self) -> int:
        """Tasks that wait for their time do not count: Celery takes one more for each. With a limit of them, it does not."""
        taken = {*snapshot(state.reserved_requests), *snapshot(state.active_requests)}
        taken.update(rate_limited(self._consumer))
        if self._consumer.app.conf.get("worker_eta_task_limit"):
            entries = [getattr(each.entry, "args", ()) for each in list(self._consumer.timer.schedule.queue)]
            taken.update(each for args in entries for each in args[:1] if isinstance(each, CeleryRequest))
        return len(taken)

    def due(self) -> int:
        """Celery reserves a task that waits for its eta or a rate limit only when it may begin."""
        return len({*snapshot(state.reserved_requests), *snapshot(state.active_requests)})

    def begun(self) -> int:
        return sum(snapshot(state.total_count.values()))


class WatchedStep(bootsteps.StartStopStep):
    """Follows the consumer; Celery stops and starts it again when the connection is lost."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    watched: WatchedWorker

    def __init__(self, consumer: Consumer, **options: object) -> None:
        self.watch = self.watched.watch
        self._timer: Entry | None = None
        self._notes_messages = False
        celery_compat.WORKER_STOP.wrap(consumer.controller, self._stopping)
        if self.watched.tally is not None:
            fail_on_exit(consumer.pool)
            counting(consumer.pool, self.watched.tally)

    def start(self, consumer: Consumer) -> None:
        self.watched.consumer = consumer
        if not self._notes_messages:  # around the steps that refuse messages: one of a paused task was taken too
            self._notes_messages = True
            celery_compat.CREATE_TASK_HANDLER.wrap(consumer, lambda create: _noting(create, self.watch.take))
        self.watch.can_look = can_look(consumer.connection)
        self.watch.begin(PoolFacts(consumer))
        if consumer.hub is None:
            _turning(consumer.connection, self.watch.turn)
        else:
            self._turn_soon(consumer)

    def stop(self, consumer: Consumer) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        ends = celery_compat.SHOULD_STOP.of(state), celery_compat.SHOULD_TERMINATE.of(state)
        if ends == (None, None):
            self.watch.lost()
        else:
            self.watch.stopping()

    def _turn_soon(self, consumer: Consumer) -> None:
        self._timer = consumer.timer.call_after(PERIOD, self._turn, (consumer,))

    def _turn(self, consumer: Consumer) -> None:
        self.watch.turn()
        if self._timer:  # it has not stopped since then
            self._turn_soon(consumer)

    def _stopping(self, stop: Callable[..., object]) -> Callable[..., object]:
        def stopping(*args: object, **options: object) -> object:
            self.watch.stopping()
            return stop(*args, **options)

        return stopping


def _noting(create: Callable[..., Callable[[Message], object]], note: Callable[[], None]) -> Callable[..., object]:
    def create_task_handler(*args: object, **options: object) -> Callable[[Message], object]:
        handle = create(*args, **options)

        def noted(message: Message) -> object:
            note()
            return handle(message)

        return noted

    return create_task_handler


def _turning(connection: Connection, turn: Callable[[], None]) -> None:
    """Note each turn of a loop without a hub, which waits for events for at most two seconds (celery.worker.loops.synloop)."""

    def wrapper(drain: Callable[..., object]) -> Callable[..., object]:
        def drain_events(*args: object, **options: object) -> object:
            turn()
            return drain(*args, **options)

        return drain_events

    celery_compat.DRAIN_EVENTS.wrap(connection, wrapper)
