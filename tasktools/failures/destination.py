"""Where the message of a failed task goes: to where it came from, if that is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu import Exchange, Queue
from kombu.common import Broadcast, maybe_declare

from tasktools.failures.remade import Remade, Unsendable

if TYPE_CHECKING:
    from celery import Celery


class Destination:
    """The exchanges and queues of one connection, which are declared as Celery declares them before it sends."""

    def __init__(self, app: Celery, connection: Any) -> None:
        self._queues: Any = app.amqp.queues
        self._connection = connection
        self._is_amqp = connection.transport.driver_type == "amqp"
        self._known: dict[tuple[str, str, str], tuple[str, str] | Unsendable] = {}

    def known(self, message: Remade, queue: str) -> tuple[str, str] | Unsendable | None:
        """Return what `of` has returned before; None if it was not asked."""
        return self._known.get((message.exchange, message.routing_key, queue))

    def of(self, message: Remade, queue: str) -> tuple[str, str] | Unsendable:
        """Return the exchange and the routing key for a message that came from this queue, or why there are none.

        Raises what the transport raises.
        """
        key = (message.exchange, message.routing_key, queue)
        try:
            self._known[key] = self._find(*key)
        except Unsendable as error:
            self._known[key] = error
        return self._known[key]

    def _find(self, exchange: str, routing_key: str, queue: str) -> tuple[str, str]:
        if exchange:
            declared = self._with_exchange(exchange, routing_key)
            if declared is not None:
                self._declare(declared.exchange if isinstance(declared, Broadcast) else declared)
                return exchange, routing_key
            routing_key = queue
        name = routing_key or queue
        if not name:
            raise Unsendable("neither its exchange nor its queue is known here")
        self._declare_queue(name)
        return "", name

    def _with_exchange(self, exchange: str, routing_key: str) -> Queue | None:
        """Return a queue of the app with this exchange, if possible that of the routing key."""
        found = [each for each in self._queues.values() if each.exchange and each.exchange.name == exchange]
        return next((each for each in found if each.routing_key == routing_key), found[0] if found else None)

    def _declare_queue(self, name: str) -> None:
        known = self._queues.get(name)
        if known is not None:
            self._declare(known)
        elif self._is_amqp:
            self._require(name)
        elif self._queues.create_missing:
            self._declare(self._queues.new_missing(name))

    def _require(self, name: str) -> None:
        """Make a queue that is not there: a broker of AMQP drops what is for it. Leave one that is there as it is."""
        try:
            with self._connection.channel() as channel:
                channel.queue_declare(name, passive=True)
        except self._connection.channel_errors:
            if not self._queues.create_missing:
                raise Unsendable(f'there is no queue "{name}"') from None
            self._declare(self._queues.new_missing(name))

    def _declare(self, entity: Queue | Exchange) -> None:
        try:
            with self._connection.channel() as channel:  # a new one: an error closes a channel
                maybe_declare(entity, channel)
        except self._connection.channel_errors as error:
            # Else it is about the server: a Redis that is full, or that refuses its user a command.
            if not self._is_amqp and "WRONGTYPE" not in str(error):
                raise
            raise Unsendable(f'the broker refuses the queue or exchange "{entity.name}": {error}') from error
