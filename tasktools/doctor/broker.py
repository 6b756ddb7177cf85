"""Whether the broker connects, takes a message, and gives it back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kombu import Producer, Queue

from tasktools.brokers import broker_of
from tasktools.brokers.base import Broker
from tasktools.brokers.reach import connect, reach
from tasktools.doctor.findings import Line, error, of_error, ok
from tasktools.exceptions import TasktoolsError, Unreachable

if TYPE_CHECKING:
    from celery import Celery

#: The kinds of brokers in which a look at a queue, or one for a single message, costs nothing. Others bill it.
_CHEAP = ("redis", "amqp", "memory", "filesystem", "sql")

#: After how many seconds a broker may drop the queue, if this process is killed before it does so.
_LIFE = 30


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A broker that has answered."""

    broker: Broker
    #: kombu's.
    connection: Any
    #: How long connecting took, in seconds.
    seconds: float

    @property
    def is_redis(self) -> bool:
        return bool(self.connection.transport.driver_type == "redis")

    @property
    def is_cheap(self) -> bool:
        return self.connection.transport.driver_type in _CHEAP

    @property
    def is_amqp(self) -> bool:
        return bool(self.connection.transport.driver_name == "py-amqp")


def opened(app: Celery, limit: float) -> Opened:
    """Connect to the broker. Raises Unreachable and ConfigurationError."""
    broker = broker_of(app)
    broker.prepare()
    began = time.monotonic()
    connection = connect(broker, limit)
    return Opened(broker=broker, connection=connection, seconds=time.monotonic() - began)


def lines(found: Opened, limit: float) -> list[Line]:
    """Return that it is connected, and whether it takes a message and gives it back."""
    connected = ok("connected", found.broker.uri(), seconds=found.seconds)
    if not found.is_cheap:
        return [connected, ok("message", "not tried: this kind of broker may bill a queue, or forbid to make one")]
    blocked = _blocked(found)
    began = time.monotonic()
    try:
        is_back = reach(found.broker.name, limit, partial(_round_trip, found.connection))
    except TasktoolsError as problem:
        return [connected, _refused(found, problem, blocked)]
    if blocked:
        return [connected, _refused(found, Unreachable(""), blocked)]
    if not is_back:
        text = f"{found.broker.name} took a message and does not give it back."
        return [connected, error("message", text, "look at its log; another program may take the messages")]
    return [connected, ok("message", "written and read", seconds=time.monotonic() - began)]


def _round_trip(connection: Any) -> bool:
    """Send a message to a queue of its own, read it, and delete the queue. Return whether it came back."""
    name = f"tasktools.doctor.{uuid4()}"
    with connection.channel() as channel:
        queue = Queue(name, durable=False, auto_delete=True, expires=_LIFE)(channel)
        queue.declare()
        try:
            Producer(channel).publish(name, routing_key=name, serializer="json", delivery_mode=1)
            message = queue.get(no_ack=True)
            return message is not None and message.payload == name
        finally:
            queue.delete()


def _blocked(found: Opened) -> list[str]:
    """Return a list that gets the reason, when RabbitMQ says that it takes no messages (connection.blocked)."""
    reasons: list[str] = []
    if found.is_amqp:
        found.connection.connection.on_blocked = reasons.append
    return reasons


def _refused(found: Opened, problem: TasktoolsError, blocked: list[str]) -> Line:
    if not blocked:
        return of_error("message", problem)
    text = f"{found.broker.name} takes no messages: {blocked[0]}."
    return error("message", text, "free memory or disk space on that server, or raise its limit")
