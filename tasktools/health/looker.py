"""Looks at the queues of a worker, over a connection of its own that no wait outlasts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from tasktools.brokers.reach import reason
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.health.worker_watch import STARTING, WorkerWatch
from tasktools.queues import depth
from tasktools.queues.look import oldest

if TYPE_CHECKING:
    from celery import Celery

#: How long an answer of the broker may take, in seconds, and how long a whole look.
ANSWER = 2.0
LONGEST = 5.0

#: How much of an error is kept, in characters.
_LONGEST_ERROR = 200


class Looker:
    """Looks from a daemon thread, if the watch wants it or `always` is true."""

    def __init__(
        self,
        app: Celery,
        watch: WorkerWatch,
        queues: Callable[[], Collection[str]],
        *,
        paused: Callable[[], Collection[str]] = frozenset,
        always: bool = False,
    ) -> None:
        """`paused` returns those of the queues that the worker leaves alone: their messages wait on purpose."""
        self.app = app
        self.watch = watch
        self.queues = queues
        self.paused = paused
        self.always = always
        self._connection: Any = None
        self._over = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._go_on, daemon=True, name="health looks").start()

    def stop(self) -> None:
        self._over.set()

    def _go_on(self) -> None:
        while not self._over.wait(self.watch.limits.look):
            # While the worker starts, its pool is forked: a look may hold a lock of the system's look-up of names.
            is_there = self.watch.can_look and self.watch.phase != STARTING
            if is_there and (self.always or self.watch.wants_look()):
                self.look()

    def look(self) -> None:
        """Look once. A connection that fails may be an old one: a second attempt has a new one."""
        for connection in (self._connection, None) if self._connection is not None else (None,):
            try:
                found = within_thread(LONGEST, self._read, connection)
            except Exception as error:  # noqa: BLE001 - whatever the transport raises
                self._drop()
                why = "no answer" if isinstance(error, TimedOut) else reason(error)
                if connection is None:
                    self.watch.unanswered(why[:_LONGEST_ERROR])
                continue
            self.watch.looked(*found)
            return

    def _read(self, connection: Any) -> tuple[dict[str, int], dict[str, float], set[str]]:
        """Return the lengths, the ages, and the queues from which this worker need not take: paused, or with another consumer.

        RabbitMQ may prefer that one without an end: for its priority, or as the single active consumer of the queue.
        """
        connection = connection or self._connect()
        names = sorted(self.queues())
        found: dict[str, depth.Depth] = {}
        depth.read(connection, names, found)
        self._connection = connection
        lengths = {name: each.waiting for name, each in found.items() if each.waiting is not None}
        ages: dict[str, float | None] = {}
        if self.always and depth.is_redis(connection):
            from tasktools.brokers.keys import Keys

            ages = oldest(Keys(connection.default_channel), [name for name, length in lengths.items() if length])
        shared = {name for name, each in found.items() if (each.consumers or 0) > 1}
        # Asked after the lengths: a pause that has just begun counts.
        return lengths, {name: age for name, age in ages.items() if age is not None}, shared.union(self.paused())

    def _connect(self) -> Any:
        options = dict(self.app.conf.broker_transport_options or {})
        connection = self.app.connection_for_read(connect_timeout=ANSWER)
        if depth.is_redis(connection):
            options |= {"socket_timeout": ANSWER, "socket_connect_timeout": ANSWER}
            connection = self.app.connection_for_read(connect_timeout=ANSWER, transport_options=options)
        connection.ensure_connection(max_retries=0, timeout=ANSWER, reraise_as_library_errors=False)  # type: ignore[arg-type]
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                within_thread(ANSWER, connection.release)


def can_look(connection: Any) -> bool:
    """Whether the broker tells the lengths of queues quickly and without costs. `connection` is kombu's."""
    return depth.is_redis(connection) or depth.is_amqp(connection)
