"""RabbitMQ, and other brokers that speak AMQP 0.9.1."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from amqp import spec
from amqp.exceptions import MessageNacked, RecoverableConnectionError

from tasktools.brokers.lease import LIMIT
from tasktools.brokers.portable import PortableBroker
from tasktools.brokers.queue_lease import HEARTBEAT, QueueLease

#: How many messages may be without a confirm: nobody reads the confirms while messages are sent.
MOST_OPEN = 1000


class AmqpBroker(PortableBroker):
    """A broker that confirms messages: with this it takes over the responsibility for them."""

    supports_confirms = True
    supports_leases = True

    def options(self, limit: float) -> dict[str, Any]:
        return {"confirm_publish": True, "read_timeout": limit, "write_timeout": limit}

    def confirms(self, channel: Any, limit: float) -> Confirms:
        return Confirms(channel, limit)

    def lease(self, name: str, token: str) -> QueueLease:
        from tasktools.brokers.reach import connect

        return QueueLease(connect(self, LIMIT, heartbeat=HEARTBEAT), name)


class Confirms:
    """Publishes messages on a channel of py-amqp, and waits for all their confirms at once. Use it as a context manager.

    By itself py-amqp waits after each message. A tag counts the messages of a channel; an ack may be for all up to its tag.
    """

    def __init__(self, channel: Any, limit: float) -> None:
        """`limit` is how long the broker may confirm nothing, in seconds."""
        self._channel = channel
        self._limit = limit
        self._is_selected = False
        self._published = 0
        #: All up to this tag are confirmed, and these after it.
        self._upto = 0
        self._single: set[int] = set()
        self._refused = False

    def __enter__(self) -> Confirms:
        if not self._is_selected:
            self._channel.confirm_select()
            self._channel.events["basic_ack"].add(self._on_ack)
            self._channel.events["basic_nack"].add(self._on_nack)
            self._is_selected = True
        self._waiting = self._channel.basic_publish
        self._channel.basic_publish = self._publish
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._channel.basic_publish = self._waiting
        if kind is None:
            self.flush()

    def flush(self) -> None:
        """Return when all is confirmed.

        Raises MessageNacked for a message that the broker refuses, and what py-amqp raises, TimeoutError too.
        """
        confirmed, deadline = self._confirmed, time.monotonic() + self._limit
        while self._confirmed < self._published and not self._refused:
            if self._channel.connection is None:
                raise RecoverableConnectionError("the channel is closed")
            if self._confirmed > confirmed:
                confirmed, deadline = self._confirmed, time.monotonic() + self._limit
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no confirm has come")
            self._channel.connection.drain_events(timeout=left)
        if self._refused:
            raise MessageNacked("the broker refuses a message")

    @property
    def _confirmed(self) -> int:
        return self._upto + len(self._single)

    def _publish(
        self,
        message: Any,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,
        immediate: bool = False,
        **_: Any,
    ) -> None:
        """Send a message as py-amqp's basic_publish does, but read nothing: that takes longer than the sending."""
        if self._channel.connection is None:
            raise RecoverableConnectionError("the channel is closed")
        if self._published - self._confirmed >= MOST_OPEN:
            self.flush()
        self._published += 1
        where = (0, exchange, routing_key, mandatory, immediate)
        self._channel.send_method(spec.Basic.Publish, "Bssbb", where, message)

    def _on_ack(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._upto = max(self._upto, tag)
            self._single = {each for each in self._single if each > self._upto}
        else:
            self._single.add(tag)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._refused = True
