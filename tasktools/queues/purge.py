"""Take messages out of queues: all of a queue, or those of one task. Each message that is counted as removed never runs."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasktools.brokers.portable import queue_length
from tasktools.exceptions import ConfigurationError

#: The kinds of brokers that can be asked for a queue that may not exist, and do not make it then.
_LOOKS = ("memory", "filesystem", "sql")


@dataclass(frozen=True, kw_only=True)
class Purged:
    """What a purge of one queue finds and does."""

    queue: str
    #: How many messages waited in it when they were counted.
    waiting: int
    #: How many of these the purge is about; None if the broker does not say.
    chosen: int | None
    #: How many it has removed, and how many wait afterwards.
    removed: int = 0
    left: int | None = None


class Purger(abc.ABC):
    """The queues of one broker. Every method may block as long as the transport does, and raises what that raises."""

    #: Whether `tasks` can read which tasks wait, and whether `remove` can take out those of one.
    reads_tasks = False
    supports_remove = False

    #: Whether `remove`, when it has come to its end, has looked at each message that waited when it began.
    is_sure = True

    def __init__(self, connection: Any) -> None:
        """`connection` is kombu's, connected."""
        self.connection = connection

    def bound(self) -> set[str]:
        """Return the names of queues that the broker knows, as far as it says."""
        return set()

    def other_kind(self, queue: str) -> str:
        """Return what a key of this name is if it is no queue; "" if there is none, or the broker has no keys."""
        return ""

    @abc.abstractmethod
    def length(self, queue: str, *, is_declared: bool) -> int | None:
        """Return how many messages wait in a queue; None if there is no such queue.

        `is_declared` says whether the project names it: then it may come into being with its first message.
        """

    def taken(self) -> int | None:
        """Return how many messages of all queues workers have taken and not acknowledged; None if the broker does not say."""
        return None

    def tasks(self, queue: str) -> Iterator[Counter[str]]:
        """Yield, slice by slice, how many messages of each task wait in a queue. Yield nothing if that cannot be read."""
        return iter(())

    @abc.abstractmethod
    def empty(self, queue: str) -> Iterator[int]:
        """Remove all messages of a queue; yield after each step how many it has removed. It may be ended between two steps."""

    def remove(self, queue: str, task: str) -> Iterator[int]:
        """Remove the messages of one task from a queue in small steps; yield after each how many it has removed.

        It may be ended between two steps.
        """
        raise NotImplementedError

    def require_remove(self) -> None:
        """Raise ConfigurationError if `remove` is not supported."""
        if not self.supports_remove:
            raise self.refusal("can only empty a whole queue, not remove the messages of one task", "leave out --task")

    def refusal(self, what: str, hint: str) -> ConfigurationError:
        """Return the error for what this kind of broker cannot do."""
        return ConfigurationError(f'This kind of broker ("{self.connection.transport.driver_type}") {what}.', hint=hint)


class PortablePurger(Purger):
    """Any transport of kombu."""

    def length(self, queue: str, *, is_declared: bool) -> int | None:
        if not is_declared and self.connection.transport.driver_type not in _LOOKS:
            return None
        return queue_length(self.connection, queue) or (0 if is_declared else None)

    def empty(self, queue: str) -> Iterator[int]:
        with self.connection.channel() as channel:
            try:
                yield int(channel.queue_purge(queue) or 0)
            except NotImplementedError:
                hint = "read its messages with a worker that has no such tasks: it drops them"
                raise self.refusal("cannot remove the messages of a queue", hint) from None


def purger_of(connection: Any) -> Purger:
    """Return the purger for a connected kombu Connection."""
    if connection.transport.driver_type == "redis":
        from tasktools.queues.purge_redis import RedisPurger

        return RedisPurger(connection)
    if connection.transport.driver_name == "py-amqp":
        from tasktools.queues.purge_amqp import AmqpPurger

        return AmqpPurger(connection)
    return PortablePurger(connection)
