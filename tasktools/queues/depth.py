"""How many messages wait in each queue, and who takes them: the one reader of that, for each kind of broker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tasktools.brokers.keys import Keys
from tasktools.brokers.portable import queue_length


@dataclass(frozen=True, kw_only=True)
class Depth:
    """What a broker knows of a queue; None for what it does not."""

    waiting: int | None = None
    consumers: int | None = None
    #: Whether the queue exists. On Redis an empty queue leaves no trace, and other transports do not say it.
    exists: bool | None = None
    #: Whether a key of its name holds no list: it is another program's.
    is_other_type: bool = False


#: What the errors of AMQP say: there is no such queue, or another connection has it to itself.
_BY_ERROR: dict[int | None, Depth] = {404: Depth(waiting=0, consumers=0, exists=False), 405: Depth(exists=True)}


def is_redis(connection: Any) -> bool:
    """Whether a kombu Connection leads to Redis or Valkey."""
    return bool(connection.transport.driver_type == "redis")


def is_amqp(connection: Any) -> bool:
    return bool(connection.transport.driver_name == "py-amqp")


def read(connection: Any, queues: Collection[str], into: dict[str, Depth]) -> None:
    """Ask the broker for the queues, in as few round trips as it allows. `connection` is kombu's.

    The answers are put into `into` as they arrive: whoever is out of time has the first ones.
    """
    if is_redis(connection):
        lengths = Keys(connection.default_channel).lengths(queues)
        into.update({queue: Depth(waiting=length, is_other_type=length is None) for queue, length in lengths.items()})
    elif is_amqp(connection):
        _declared(connection, queues, into)
    else:
        for queue in sorted(queues):
            try:
                into[queue] = Depth(waiting=queue_length(connection, queue))
            except connection.channel_errors:
                into[queue] = Depth()


def _declared(connection: Any, queues: Collection[str], into: dict[str, Depth]) -> None:
    """Ask for queues in one channel, and in a new one after each error, which closes the channel.

    An error does not always mean that the queue is not there.
    """
    left = sorted(queues)
    while left:
        with connection.channel() as channel:
            try:
                while left:
                    declared = channel.queue_declare(left[0], passive=True)
                    ready, consumers = int(declared.message_count), int(declared.consumer_count)
                    into[left.pop(0)] = Depth(waiting=ready, consumers=consumers, exists=True)
            except connection.channel_errors as error:
                into[left.pop(0)] = _BY_ERROR.get(getattr(error, "reply_code", None), Depth())
