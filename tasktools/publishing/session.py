"""What sends several batches to the broker shares: one connection, made by the first of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kombu.exceptions import KombuError
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.packing import pack_whole
from tasktools.brokers.reach import connect
from tasktools.brokers.recording import Recorder
from tasktools.celery_compat import PROXIED

if TYPE_CHECKING:
    from celery import Celery
    from typing_extensions import Self


class Session:
    """One connection for batch after batch. Use it as a context manager."""

    def __init__(self, app: Celery) -> None:
        self.app = PROXIED.of(app)() if PROXIED.exists(app) else app
        self.broker = broker_of(self.app)
        self._stack = contextlib.ExitStack()
        self._connection: Any = None
        #: Takes down what kombu would send, where a batch is sent in one transaction.
        self._recorder: Recorder | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._stack.close()

    @property
    def is_atomic(self) -> bool:
        """Whether a batch, and a mark with it, is sent as a whole or not at all, so that the broker knows what was sent."""
        return self.broker.supports_transactions

    def _connect(self, limit: float, consequence: str) -> Any:
        """Connect, and return the connection. Raises Unreachable when there is none within `limit` seconds."""
        self.broker.prepare()
        connection = connect(self.broker, limit, consequence=consequence)
        self._stack.callback(connection.release)
        self._errors = (*connection.connection_errors, *connection.channel_errors, KombuError, OSError)
        if self.is_atomic:
            self._keys = Keys(connection.default_channel)
            pack_whole(self._keys.channel.pool)
            # If an answer is lost, redis-py would send the transaction again, and so twice.
            self._keys.client.set_retry(Retry(NoBackoff(), 0))
            self._recorder = Recorder(self._keys, self.app.conf.event_exchange)
        self._connection = connection
        return connection
