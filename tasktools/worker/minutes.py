"""Count in every worker how its tasks end, and add the numbers to those of the other workers in the broker.

A task costs an addition in memory. A thread of its own writes what was counted, every few seconds if there is anything. It has
a connection only while it writes: so a broker that is silent stops nothing. A process of the pool that is forked while it writes
inherits the socket, which nothing there uses; redis-py shuts it down for both when it is closed here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from redis.exceptions import RedisError

from tasktools import terminal
from tasktools.brokers.keys import Keys
from tasktools.brokers.reach import reason
from tasktools.celery_compat import POOL_APPLY
from tasktools.health.minutes import FAILED, KEPT, SUCCEEDED, Minutes, hashes_of, writes
from tasktools.worker.counted import after, state_of
from tasktools.worker.pool_options import request_of

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.worker.protocols import Consumer, Pool

logger = logging.getLogger(__name__)

#: How often the numbers are written, and how long the broker may take for that, in seconds.
PERIOD, LIMIT = 5.0, 2.0

#: How long nothing is written after the broker has refused it, in seconds: it is out of memory, or its user may not do that.
REFUSED = 300.0


class _Away(Exception):
    """There is no connection, so nothing was sent."""


def install(app: Celery) -> Writer:
    """Add this to the worker that is about to start in this process."""
    made = Writer(app, Minutes())

    class Step(_Step):
        name = f"{__name__}.Step"
        writer = made

    app.steps["consumer"].add(Step)
    return made


class _Step(bootsteps.StartStopStep):
    """Celery stops and starts it again when the connection is lost."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    writer: Writer

    def __init__(self, consumer: Consumer, **options: object) -> None:
        # Before the strategies of the tasks are made, which keep references to what the pool does.
        self._is_used = consumer.app.connection_for_read().transport.driver_type == "redis"
        if self._is_used:  # other brokers have no place for it
            self.writer.count(consumer.pool)

    def start(self, consumer: Any) -> None:
        if self._is_used:
            self.writer.start()

    def stop(self, consumer: Any) -> None:
        pass


class Writer:
    """Adds what was counted to the numbers in the broker."""

    def __init__(self, app: Celery, minutes: Minutes, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self.minutes = minutes
        self._clock = clock
        self._pool: Any = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = self._warned = False
        #: Nothing is written before this time.
        self._pauses_until = 0.0

    def count(self, pool: Pool) -> None:
        """Count what the pool gets from now on. After a lost connection Celery has the same pool."""
        if pool is self._pool:
            return
        self._pool = pool

        def wrapper(apply_async: Callable[..., object]) -> Callable[..., object]:
            def apply_counted(target: Callable[..., object], *args: object, **options: Any) -> object:
                if request_of(options) is not None:
                    options = counted(options, self.minutes)
                return apply_async(target, *args, **options)

            return apply_counted

        POOL_APPLY.wrap(pool, wrapper)

    def start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._over = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._over,), daemon=True, name="tasks by minute")
            self._thread.start()

    def finish(self) -> None:
        """Write what is left; the worker stops."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(LIMIT)

    def _run(self, over: threading.Event) -> None:
        while not over.wait(PERIOD):
            self.write()
        self.write()

    def write(self) -> None:
        """Write what was counted. What was certainly not written is kept for the next time.

        Where the answer does not come, the numbers may have been added: a gap is better than several times the truth.
        """
        if self._clock() < self._pauses_until or not (taken := self.minutes.take()):
            return
        try:
            answers = _write(self._app, list(writes(taken, hashes_of(self._app))))
            self._failed = False
        except _Away as error:
            self.minutes.put_back(taken)
            self._note("tried again", error)
        except Exception as error:  # noqa: BLE001 - nothing here may stop the worker
            self._note("some may be missing", error)
        else:
            self._take_back(taken, answers)

    def _note(self, consequence: str, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            text = terminal.line(reason(error))
            logger.debug("The numbers of the last hour cannot be written (%s): %s.", text, consequence)

    def _take_back(self, taken: Counter[tuple[int, str]], answers: Sequence[object]) -> None:
        """Count again what the broker has refused, and wait for some minutes."""
        changes = [item for item in sorted(taken.items()) if item[1]]
        refused = [
            (*item, error) for item, error in zip(changes, answers, strict=True) if isinstance(error, RedisError)
        ]
        if not refused:
            return
        self.minutes.put_back(Counter({key: count for key, count, _ in refused}))
        self._pauses_until = self._clock() + REFUSED
        if not self._warned:
            self._warned = True
            text = terminal.line(reason(refused[0][2]))
            logger.warning(
                "The broker refuses the numbers of the last hour, which the admin shows: %s. "
                "TASKTOOLS_HOUR = False in the settings turns them off.",
                text,
            )


def _write(app: Celery, changes: list[tuple[str, str, int]]) -> list[object]:
    """Add these numbers; return the answer to each. Raises _Away if nothing was sent, and other errors if that is not certain."""
    options = {
        **(app.conf.broker_transport_options or {}),
        "socket_timeout": LIMIT,
        "socket_connect_timeout": LIMIT,
        "retry_on_timeout": False,  # it would add the numbers once more
    }
    with app.connection_for_write(connect_timeout=LIMIT, transport_options=options) as connection:
        try:
            keys = Keys(connection.default_channel)  # which connects
        except Exception as error:
            raise _Away(error) from error
        with keys.client.pipeline(transaction=False) as pipeline:
            for key, name, count in changes:
                pipeline.hincrby(keys.full(key), name, count)
            for key in dict.fromkeys(key for key, *_ in changes):
                pipeline.expire(keys.full(key), KEPT)
            answers: list[object] = pipeline.execute(raise_on_error=False)
    return answers[: len(changes)]


def counted(options: dict[str, Any], minutes: Minutes) -> dict[str, Any]:
    """Return the options of `apply_async` with callbacks that count the end of the task, once."""
    ended: list[bool] = []
    began = time.monotonic()

    def end(state: str, seconds: Any) -> None:
        if not ended:
            ended.append(True)
            minutes.ended(state, seconds)

    def accepted(*_: object, **__: object) -> None:
        nonlocal began
        began = time.monotonic()

    def returned(outcome: Any, **_: object) -> None:
        failed, value, seconds = outcome  # as Celery's tracer has measured it
        end(state_of(value.exception) if failed else SUCCEEDED, seconds)

    def failed(info: Any, *_: object, **__: object) -> None:
        end(state_of(info.exception), time.monotonic() - began)

    def timed_out(soft: bool, *_: object, **__: object) -> None:
        if not soft:
            end(FAILED, time.monotonic() - began)

    notes: dict[str, Callable[..., None]] = {
        "accept_callback": accepted,
        "callback": returned,
        "error_callback": failed,
        "timeout_callback": timed_out,
    }
    return {
        **options,
        **{name: after(note, options[name]) for name, note in notes.items() if options.get(name) is not None},
    }
