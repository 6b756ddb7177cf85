"""How the messages of a broker come to a worker, and how they are kept away for a while.

A worker asks Redis and Valkey for each message. Every other broker counts as one that pushes: it gives messages until the
worker's consumer is cancelled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from kombu.common import ignore_errors

from tasktools.celery_compat import CAN_CONSUME

if TYPE_CHECKING:
    from kombu import Connection

    from tasktools.worker.protocols import Channel, Consumer, Message


class Asked:
    """Redis and Valkey: a message is taken by BRPOP, once the channel's `can_consume` allows it."""

    def __init__(
        self, consumer: Consumer, admits: Callable[[], bool], connect: Callable[[], Connection] | None
    ) -> None:
        """`connect` returns a connection beside the worker's own; with None a BRPOP that waits is left alone."""
        channel = consumer.task_consumer.channel
        self._connect = connect
        #: The number of the connection that waits in BRPOP.
        self._client_id = _client_id(channel) if connect else None
        CAN_CONSUME.wrap(channel.qos, lambda allowed: lambda: admits() and allowed())

    def shut(self) -> None:
        """Have the broker give no more messages; called from any thread."""
        if self._connect is None or self._client_id is None:
            return
        # A BRPOP that waits at the server would still take the next task. If this fails it ends by itself in a second,
        # and what it has taken goes back.
        with contextlib.suppress(Exception), self._connect() as connection:
            channel = cast("Channel", connection.default_channel)
            channel.client.execute_command("CLIENT", "UNBLOCK", self._client_id)

    def reopen(self) -> None:
        """Have it give them again; called from any thread."""

    def refuse(self, message: Message) -> None:
        """Put a message back to where it was, in front; called where messages arrive."""
        message.requeue()

    def close(self) -> None:
        """Leave nothing half done: the worker stops, or its connection is lost."""


class Pushed:
    """The other brokers. What is asked of them is asked from the loop, and once.

    A cancel reads on until the broker has confirmed it. What is delivered meanwhile comes to `refuse`, which must therefore
    not cancel; nor may it give the message back at once, for that would come to the same consumer again.
    """

    def __init__(self, consumer: Consumer, is_shut: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._tasks = consumer.task_consumer
        self._is_shut = is_shut
        #: What was refused, until the broker gives no more.
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
        # Of a lost connection the loop hears by itself, and the broker has everything back.
        with ignore_errors(cast("Connection", self._consumer)):  # which has the attributes that are asked for
            (self._tasks.cancel if self._is_shut() else self._tasks.consume)()
            while self._held:
                self._held.pop().requeue()


def _client_id(channel: Channel) -> int | None:
    """Return the number of the worker's connection; None where its user may not ask for it (or a proxy does not know)."""
    try:
        return int(channel.client.client_id())
    except channel.ResponseError:
        return None
