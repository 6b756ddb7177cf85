"""What waits in the queues of a worker, as a connection beside its own tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools.brokers.portable import queue_length
from tasktools.worker.pausing import held
from tasktools.worker.requests import rate_limited

if TYPE_CHECKING:
    from kombu import Connection

    from tasktools.worker.protocols import Consumer

#: How long an exchange with the broker may take, in seconds.
LIMIT = 2.0


class Waiting:
    """It uses a separate connection: with some pools, another thread reads from the worker's connection."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._beside: Connection | None = None

    def count(self) -> int:
        """Return how many messages wait in this worker's queues, and with it for a rate limit; a new queue may not exist yet.

        Return 1 without an answer, because something may wait.
        """
        try:
            names = {queue.name for queue in self._consumer.task_consumer.queues} - held(self._consumer)
            self._beside = self._beside or self.connection()
            return len(rate_limited(self._consumer)) + sum(queue_length(self._beside, name) for name in names)
        except Exception:  # noqa: BLE001 - after any error of the transport, it asks again in a moment
            self._beside = None
            return 1

    def connection(self) -> Connection:
        """Return a new connection to the broker, which is not opened yet."""
        app = self._consumer.app
        options = dict(app.conf.broker_transport_options or {})
        if self._consumer.connection.transport.driver_type == "redis":
            options |= {"socket_timeout": LIMIT, "socket_connect_timeout": LIMIT}
        return app.connection_for_read(connect_timeout=LIMIT, transport_options=options)

    def close(self) -> None:
        if self._beside:
            self._beside.release()
