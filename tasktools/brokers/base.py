"""What an adapter for a broker can do."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.brokers.lease import Lease

#: How the URL of the private Valkey begins, and how unchanged Celery writes the same.
PRIVATE_SOCKET = "tasktools+socket://"
STOCK_SOCKET = "redis+socket://"

#: The same for the result backend there, which is named by its class.
PRIVATE_BACKEND = "tasktools.brokers.private_redis.Backend"


def with_stock_urls(text: str) -> str:
    """Return a text with the URL of the private Valkey as unchanged Celery writes it."""
    return text.replace(PRIVATE_SOCKET, STOCK_SOCKET).replace(f"{PRIVATE_BACKEND}+socket://", STOCK_SOCKET)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Where the message of a task was found."""

    #: "queued": it is in a queue, and nobody has taken it; "reserved": a worker has taken it and not acknowledged it.
    place: str
    #: The queue's name; None if the broker does not say.
    queue: str | None = None
    #: The name of the task, and the time before which it does not run (ISO 8601), as the message has them.
    task: str | None = None
    eta: str | None = None
    #: Its place in the queue; 1 is taken next.
    position: int | None = None


class Broker(abc.ABC):
    """A broker as a Celery app is configured for it. Every method may block as long as the transport does."""

    #: Whether the messages in its queues can be read and stay there (queues.position looks for some of them).
    supports_find = False
    #: Whether many messages, and a mark with them, can be sent in one transaction.
    supports_transactions = False
    #: Whether the broker confirms messages, and `confirms` can wait for many of these at once.
    supports_confirms = False
    #: Whether `lease` gives one.
    supports_leases = False
    #: Options of the transport for a connection that is kept and not checked after a pause: who has it connects again.
    unchecked: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, app: Celery) -> None:
        self.app = app

    @abc.abstractmethod
    def uri(self) -> str:
        """Return the broker's URL with its password as `**`."""

    @property
    def name(self) -> str:
        """The broker as the beginning of a sentence."""
        return f'The broker "{self.uri()}"'

    @property
    @abc.abstractmethod
    def is_in_process(self) -> bool:
        """Whether each process has its own, so that no message reaches another process."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Do what must be done before the broker can answer. This may take a while."""

    @abc.abstractmethod
    def ping(self, limit: float) -> None:
        """Return when the broker has answered; `limit` (seconds) is passed on to transports that take one.

        Raises whatever the transport raises.
        """

    @abc.abstractmethod
    def publishing_connection(self, limit: float, **more: Any) -> Any:
        """Return a connected kombu Connection. It never waits longer than `limit` (seconds), if the transport supports that.

        `more` are options of Celery's app.connection_for_write.
        """

    def confirms(self, channel: Any, limit: float) -> Any:
        """Return a context manager for `channel` (kombu's): what is published inside is confirmed at its end, or at `flush()`.

        The broker may confirm nothing for at most `limit` seconds.
        """
        raise NotImplementedError

    def lease(self, name: str, token: str) -> Lease:
        """Return the lease of that name over a connection of its own, which its `close` closes.

        No other process has the same `token`, and it has no space.

        Raises Unreachable and ConfigurationError.
        """
        raise NotImplementedError
