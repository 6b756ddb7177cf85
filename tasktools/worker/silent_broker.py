"""A worker that is to stop while its broker accepts and says nothing: Celery waits for an answer without a limit.

Where it waits, at the start or in its loop, its own end is raised, as it is when the broker refuses. Where it waits in its stop,
the pool is stopped, which waits for what runs, and the process is left.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from celery.concurrency.solo import TaskPool
from celery.worker import state

from tasktools import celery_compat
from tasktools.brokers import broker_of, reach
from tasktools.environment import monkey
from tasktools.exceptions import Unreachable
from tasktools.worker.requests import snapshot

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.worker.protocols import Consumer, Pool

#: How long a stop may take in which nothing runs before the broker is asked, and how long that may then take, in seconds.
PATIENCE = 3.0
LIMIT = 2.0

#: How often it is looked whether the stop is over, in seconds.
PERIOD = 0.5


class Silence:
    """Ends the worker of this process, whose stop has begun, in spite of a silent broker."""

    def __init__(
        self, app: Celery, over: threading.Event, say: Callable[[str], None], leave: Callable[[], None]
    ) -> None:
        """`over` is set when the worker has stopped; `leave` ends the process."""
        self._app = app
        self._over = over
        self._say = say
        self._leave = leave
        #: Whether Celery's stop of the worker has been called.
        self.is_closing = False
        #: Whether the main thread waits for tasks: it stops the pool, or it is in the soft shutdown.
        self.waits = False
        #: Whether tasks run in the main thread itself (-P solo).
        self.is_solo = False
        self._pool: Pool | None = None
        self._said = False

    def arm(self) -> None:
        """Have the main thread hear the ring; it is in the first signal of the stop. A task of solo may use the alarm."""
        alone = threading.current_thread() is threading.main_thread() and not monkey.switches()
        if alone and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            signal.signal(signal.SIGALRM, self._ring)

    def follow(self, consumer: Consumer) -> None:
        """Note what the consumer's worker does in its stop."""
        worker, self._pool = consumer.controller, consumer.pool
        self.is_solo = isinstance(self._pool, TaskPool)
        celery_compat.WORKER_STOP.wrap(worker, lambda stop: self._noting("is_closing", stop))
        celery_compat.SOFT_SHUTDOWN.wrap(worker, lambda wait: self._noting("waits", wait, after=False))
        celery_compat.POOL_STOP.wrap(self._pool, lambda stop: self._noting("waits", stop, after=False))

    def _noting(self, name: str, function: Callable[..., object], *, after: bool = True) -> Callable[..., object]:
        def noted(*args: object, **options: object) -> object:
            setattr(self, name, True)
            try:
                return function(*args, **options)
            finally:
                setattr(self, name, after)

        return noted

    def watch(self) -> None:
        """Return when the stop is over, or the process is left."""
        quiet = time.monotonic()
        while not self._over.wait(PERIOD):
            if self._may_last():
                quiet = time.monotonic()
            elif time.monotonic() - quiet >= PATIENCE:
                if self._is_silent():
                    self._end()
                quiet = time.monotonic()

    def _may_last(self) -> bool:
        """Whether the stop waits for tasks."""
        return bool(snapshot(state.active_requests)) and (self.waits or self.is_solo)

    def _is_silent(self) -> bool:
        broker = broker_of(self._app)
        try:
            reach.reach(broker.name, LIMIT, broker.ping, LIMIT)
        except Unreachable as error:
            if not self._said and not self._over.is_set():
                self._said = True
                self._say(f"{error.sentence} The worker stops without it.")
            return True
        except Exception:  # noqa: BLE001 - it has answered in some way: Celery's own stop goes on
            return False
        return False

    def _end(self) -> None:
        hears = signal.getsignal(signal.SIGALRM) == self._ring
        runs = bool(snapshot(state.active_requests))
        if hears and (runs or not self.is_closing):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        elif not runs:
            self._leave()

    def _ring(self, *_: object) -> None:
        """End the wait of the main thread, in which this is."""
        if self.is_closing:
            if self._pool:
                self._pool.stop()
            self._leave()
            return
        self.is_closing = True
        if celery_compat.SHOULD_STOP.of(state) is None and celery_compat.SHOULD_TERMINATE.of(state) is None:
            celery_compat.SHOULD_STOP.put(state, 0)
        state.maybe_shutdown()
