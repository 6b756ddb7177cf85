"""A producer of kombu that never waits forever: each exchange with a server while sending a call has a time limit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from kombu import Queue
from kombu.exceptions import KombuError

from tasktools.brokers.reach import HINT
from tasktools.brokers.timeouts import TimedOut, within
from tasktools.celery_compat import ON_TASK_CALL, PUBLISH
from tasktools.exceptions import Unreachable

if TYPE_CHECKING:
    from celery import Celery

#: How long sending and closing may each take, in seconds.
SEND_LIMIT = 2.0
CLOSE_LIMIT = 0.4


class Sending:
    """A producer of kombu whose publish has a time limit, and the result of that publish.

    Code of the project runs before and after it: routers, receivers of signals and the apply_async of a task. Such code has
    no time limit, and is not interrupted.
    """

    def __init__(self, app: Celery, connection: Any) -> None:
        self.errors = (*connection.connection_errors, *connection.channel_errors, KombuError, OSError)
        self.producer = app.amqp.Producer(connection, auto_declare=False)
        #: Whether it has published, and whether nobody answered the last time.
        self.done = self.silent = False
        #: The queues that it has published to, by the ids of the tasks; "" if an exchange of the project chooses the queue.
        self.queues: dict[object, str] = {}
        self._connection = connection
        self._channel = connection.default_channel
        self._publish = self.producer.publish
        PUBLISH.put(self.producer, self._limited)

    def _limited(self, *args: Any, **options: Any) -> Any:
        self.silent = False
        try:
            published = within(SEND_LIMIT, partial(self._publish, *args, **options))
        except TimedOut:
            self.silent = True
            raise
        self.done = True
        self.queues[options.get("correlation_id")] = _queue_of(options)
        return published

    def close(self) -> None:
        """Close the connection. Drop a connection to a silent broker: AMQP would wait for its answer to the close."""
        with contextlib.suppress(Exception):
            if self.silent and hasattr(self._channel.connection, "collect"):
                self._channel.connection.collect()
            within(CLOSE_LIMIT, self._connection.release)


def _queue_of(options: Mapping[str, Any]) -> str:
    """Return the queue that a message goes to, from the options of its publish (celery.app.amqp.AMQP.send_task_message)."""
    exchange = getattr(options.get("exchange"), "name", options.get("exchange"))
    if exchange == "":
        return str(options.get("routing_key"))
    queues = [each for each in options.get("declare") or () if isinstance(each, Queue)]
    return next((each.name for each in queues if each.exchange.name == exchange), "")


@contextlib.contextmanager
def listening(app: Celery) -> Iterator[None]:
    """Limit the time for announcing a call to the result backend, which Celery does just before it publishes."""
    backend = app.backend
    announce = backend.on_task_call

    def limited(*args: Any) -> Any:
        try:
            return within(SEND_LIMIT, announce, *args)
        except TimedOut:
            raise Unreachable("The result backend does not answer. Nothing was sent.", hint=HINT) from None

    ON_TASK_CALL.put(backend, limited)
    try:
        yield
    finally:
        vars(backend).pop(ON_TASK_CALL.name, None)
