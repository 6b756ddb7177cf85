"""Stop a worker although its broker accepts connections and does not answer: Celery waits for the answer without a limit.

If Celery waits at its start or in its loop, this raises Celery's own end, as when the broker refuses. If Celery waits in
its stop, this stops the pool, which waits for running tasks, and then exits the process.
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

#: How long a stop without running tasks may take before the broker is asked, and how long the answer may take, in seconds.
PATIENCE = 3.0
LIMIT = 2.0

#: How often to check whether the stop is over, in seconds.
PERIOD = 0.5


class Silence:
    """Ends the worker of this process, whose stop has begun, even if its broker is silent."""

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
        #: Whether the main thread waits for tasks, because it stops the pool or is in the soft shutdown.
        self.waits = False
        #: Whether tasks run in the main thread itself (-P solo).
        self.is_solo = False
        self._pool: Pool | None = None
        self._said = False

    def arm(self) -> None:
        """Set the SIGALRM handler; the first signal of the stop calls this. Not if SIGALRM is in use, as by a solo task."""
        alone = threading.current_thread() is threading.main_thread() and not monkey.switches()
        if alone and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            signal.signal(signal.SIGALRM, self._ring)

    def follow(self, consumer: Consumer) -> None:
        """Note what the consumer's worker does during its stop."""
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
        """Return when the stop is over. It may end the process."""
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
        except Exception:  # noqa: BLE001 - it has answered in some way: Celery's own stop continues
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
        """End the wait of the main thread, in which this handler runs."""
        if self.is_closing:
            if self._pool:
                self._pool.stop()
            self._leave()
            return
        self.is_closing = True
        if celery_compat.SHOULD_STOP.of(state) is None and celery_compat.SHOULD_TERMINATE.of(state) is None:
            celery_compat.SHOULD_STOP.put(state, 0)
        state.maybe_shutdown()
