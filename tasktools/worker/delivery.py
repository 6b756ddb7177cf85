"""How the messages of a broker reach a worker, and how to stop them for a while.

A worker asks Redis and Valkey for each message. Every other broker is treated as one that pushes: it gives messages until
the worker's consumer is cancelled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from kombu.common import ignore_errors
from kombu.transport.virtual import QoS as VirtualQoS

from tasktools.celery_compat import CAN_CONSUME, DELIVERED, MESSAGE_STATE, RESTORE, RESTORE_ALL

if TYPE_CHECKING:
    from kombu import Connection

    from tasktools.worker.protocols import Channel, Consumer, Message

_SHUT = "tasktools_is_shut"


class Asked:
    """Redis and Valkey: BRPOP takes a message if the channel's `can_consume` allows it."""

    def __init__(
        self, consumer: Consumer, admits: Callable[[], bool], connect: Callable[[], Connection] | None
    ) -> None:
        """`connect` returns a separate connection. With None, a waiting BRPOP is not interrupted."""
        channel = consumer.task_consumer.channel
        self._connect = connect
        #: The number of the connection that waits in BRPOP.
        self._client_id = _client_id(channel) if connect else None
        CAN_CONSUME.wrap(channel.qos, lambda allowed: lambda: admits() and allowed())

    def shut(self) -> None:
        """Stop the broker from giving messages; may be called from any thread."""
        if self._connect is None or self._client_id is None:
            return
        # A BRPOP that waits at the server would still take the next task. If this command fails, the BRPOP ends by itself in a
        # second, and a message that it has taken goes back.
        with contextlib.suppress(Exception), self._connect() as connection:
            channel = cast("Channel", connection.default_channel)
            channel.client.execute_command("CLIENT", "UNBLOCK", self._client_id)

    def reopen(self) -> None:
        """Let the broker give messages again; may be called from any thread."""

    def refuse(self, message: Message) -> None:
        """Put a message back to the front of its queue; called in the loop that receives messages."""
        put_to_front(message)

    def close(self) -> None:
        """Clean up: the worker stops, or its connection is lost."""


class Pushed:
    """The other brokers. Only the loop sends them requests, and each only once.

    A cancel reads until the broker has confirmed it. Messages delivered during that time come to `refuse`, so `refuse` must
    not cancel. It also must not give a message back at once, because the message would come to the same consumer again.
    """

    def __init__(self, consumer: Consumer, is_shut: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._tasks = consumer.task_consumer
        self._is_shut = is_shut
        #: The refused messages, until the broker gives no more.
        self._held: list[Message] = []

    def shut(self) -> None:
        self._consumer.call_soon(self._adjust)

    reopen = shut

    def refuse(self, message: Message) -> None:
        if not self._held:
            self._consumer.call_soon(self._adjust)
        self._held.append(message)

    def close(self) -> None:
        if self._held:
            self._adjust()

    def _adjust(self) -> None:
        # If the connection is lost, the loop notices that itself, and the broker has everything back.
        with ignore_errors(cast("Connection", self._consumer)):  # it has the attributes that are needed
            is_shut = self._is_shut()
            setattr(self._tasks, _SHUT, is_shut)
            (self._tasks.cancel if is_shut else self._tasks.consume)()
            while self._held:  # the oldest one first: a broker that does not know their places puts them at the end
                self._held.pop(0).requeue()


def put_to_front(message: Message) -> None:
    """Put a message of Redis or Valkey back where BRPOP takes the next one. kombu's `requeue` puts it behind all that wait."""
    channel: Any = message.channel
    RESTORE.of(channel.qos)(message.delivery_tag)
    VirtualQoS.ack(channel.qos, message.delivery_tag)
    MESSAGE_STATE.put(message, "REQUEUED")


def give_back_in_order(channel: Channel) -> None:
    """Have what kombu gives back when a channel of Redis or Valkey closes be the next messages again, in their order.

    kombu puts each one ahead of all, and begins with the oldest one.
    """

    def wrap(restore: Callable[..., object]) -> Callable[..., object]:
        def restore_unacked(*args: object, **options: object) -> object:
            delivered: dict[str, Message] = DELIVERED.of(channel.qos)
            newest_first = dict(reversed(delivered.items()))
            delivered.clear()
            delivered.update(newest_first)
            return restore(*args, **options)

        return restore_unacked

    RESTORE_ALL.wrap(channel.qos, wrap)


def is_shut(tasks: object) -> bool:
    """Whether all queues of this consumer (kombu's) of a broker that pushes are cancelled for a while."""
    return bool(getattr(tasks, _SHUT, False))


def _client_id(channel: Channel) -> int | None:
    """Return the number of the worker's connection; None where its user may not ask for it (or a proxy does not know)."""
    try:
        return int(channel.client.client_id())
    except channel.ResponseError:
        return None
