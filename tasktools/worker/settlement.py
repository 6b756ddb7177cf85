"""What the broker knows about the messages that a worker has taken: acknowledged, back in their queue, or neither.

It watches the calls itself: if an acknowledgement or a return fails, Celery and kombu do not report that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasktools import celery_compat
from tasktools.brokers.timeouts import within_thread
from tasktools.worker.reconnect import delivered_by

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection

    from tasktools.worker.protocols import Consumer, Message, Request

#: kombu's own visibility timeout of Redis, in seconds.
VISIBILITY = 3600


@dataclass(frozen=True)
class Dropped:
    """A task that Celery has forgotten together with its connection. It has the attributes of a request that reports use."""

    name: str
    id: str
    message: Message


class Settlement:
    """The messages of one worker."""

    def __init__(self, app: Celery, lost: Mapping[str, Message]) -> None:
        """`lost` holds the messages, by their tags, of a connection that is lost and has not been replaced."""
        self._app = app
        self._lost = lost
        #: Whether the broker has confirmed that the connection is closed.
        self._closed = False
        #: The tasks that Celery has sent back.
        self._returned: set[str] = set()

    def watch(self, consumer: Consumer) -> None:
        """Note whether the consumer's connection is closed properly."""

        def noting(shutdown: Callable[[], object]) -> Callable[[], object]:
            def noted() -> object:
                self._note_close(consumer)
                return shutdown()

            return noted

        celery_compat.CONSUMER_SHUTDOWN.wrap(consumer, noting)

    def note_return(self, request: Request) -> None:
        """Make a note when Celery gives the task back to the broker."""

        def noting(reject: Callable[..., object]) -> Callable[..., object]:
            def on_reject(log: object, errors: object, requeue: bool = False, **more: object) -> object:
                if requeue:
                    self._returned.add(request.id)
                return reject(log, errors, requeue, **more)

            return on_reject

        celery_compat.ON_REJECT.wrap(request, noting)

    def is_returned(self, request: Request) -> bool:
        """Whether Celery has asked the broker to give the task to another worker."""
        return request.id in self._returned

    def is_back(self, request: Request) -> bool:
        """Whether the task has gone back to its queue; asked when the connection is closed."""
        message = request.message
        if message.acknowledged:
            return self.is_returned(request)
        if message.delivery_tag in self._lost:
            return False
        qos = getattr(message.channel, "qos", None)
        # A broker that pushes has everything back when the connection is closed. For other brokers, kombu puts back the
        # messages that it remembers, and still remembers those that it could not put back.
        return self._closed if qos is None else message.delivery_tag not in celery_compat.DELIVERED.of(qos)

    def dropped(self, known: set[str]) -> list[Dropped]:
        """Return the tasks that Celery has dropped with a lost connection, except those whose ids are in `known`."""
        dropped = [Dropped(str(m.headers.get("task")), str(m.headers.get("id")), m) for m in self._lost.values()]
        return [each for each in dropped if each.id not in known]

    def give_back(self, consumer: Consumer, limit: float) -> None:
        """Give back the messages that were not acknowledged, within `limit` seconds: Celery will not do it any more."""
        with contextlib.suppress(Exception):  # a message that is not back is reported as not given back
            within_thread(limit, self._give_back, consumer)

    def _give_back(self, consumer: Consumer) -> None:
        qos = delivered_by(consumer)
        if qos is None:  # the broker does it when the connection is closed
            self._note_close(consumer)
            consumer.connection.close()
            return
        delivered: dict[str, Message] = celery_compat.DELIVERED.of(qos)
        for tag in list(reversed(delivered)):  # each goes ahead of the one before
            celery_compat.RESTORE.of(qos)(tag)  # the server forgets a message after it has been restored
            delivered.pop(tag, None)

    def _note_close(self, consumer: Consumer) -> None:
        if not consumer.connection:
            return

        def noting(close: Callable[[Connection], None]) -> Callable[[Connection], None]:
            def close_connection(connection: Connection) -> None:
                connected: object = getattr(connection, "connected", True)
                close(connection)
                self._closed = bool(connected)

            return close_connection

        celery_compat.CLOSE_CONNECTION.wrap(consumer.connection.transport, noting)

    def how_it_returns(self) -> str:
        """Return a sentence that says how messages go back to the queue if the broker was not reached."""
        if self._app.connection_for_read().transport.driver_type != "redis":
            return "The broker was not reached: it gives them to another worker when it notices that this one has gone."
        timeout = self._app.conf.broker_transport_options.get("visibility_timeout", VISIBILITY)
        return f"The broker was not reached: they go back to the queue after its visibility timeout, {timeout:g} s."
