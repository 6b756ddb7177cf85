"""A lease in RabbitMQ: a queue that one connection alone may hold (exclusive). The server deletes it with the connection.

    NAME           the exclusive queue; whoever has declared it holds the lease
    NAME:holder    a queue with one message: what the holder says of itself

An attempt to declare a queue that another connection holds is an error in the log of the server. So a process that waits does
not try: it publishes a message to the queue. The server returns it if there is no such queue, and drops it otherwise.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

from amqp import Message
from amqp.exceptions import AccessRefused, AMQPError, ChannelError, MessageNacked, ResourceLocked

from tasktools.brokers.lease import Holder, Lease
from tasktools.exceptions import ConfigurationError

#: Both ends send something at least so often, in seconds. The server ends a connection that has been silent for two to three
#: times as long. A shorter time would end that of a beat that sends much in one tick.
HEARTBEAT = 3

#: How long an answer of the server may take, in seconds.
ANSWER = 1.0

#: How often a process that waits asks whether the lease is free, in seconds.
POLL = 0.25

#: How long the server keeps what a holder said of itself if nobody asks for it, in milliseconds.
_KEPT = 60_000

#: AMQP takes names of 255 bytes.
_LONGEST_NAME = 240

#: py-amqp raises AttributeError for a connection that it has closed itself.
_LOST = (AMQPError, MessageNacked, OSError, AttributeError)


class QueueLease(Lease):
    """A lease in RabbitMQ. It lasts as long as its connection, however many seconds are asked for."""

    longest_pause = HEARTBEAT / 2

    def __init__(self, connection: Any, name: str) -> None:
        """`connection` (kombu's) has a heartbeat of HEARTBEAT seconds, and is used for the lease alone."""
        self.name = _short(name)
        self._about = f"{self.name}:holder"
        self._connection = connection
        self._is_held = self._is_lost = self._is_returned = False
        try:
            with self._told():
                connection.connection.sock.settimeout(ANSWER)
                self._channel = connection.channel()
                self._asking = connection.channel()
                self._asking.events["basic_return"].add(self._on_return)
        except BaseException:
            self.close()
            raise

    def hold(self, text: str, seconds: float) -> Holder | None:
        """Take the lease, or ask the server whether it still knows that this process holds it.

        A queue has no time: the lease ends with the connection.

        Raises ConnectionError if the server does not answer within about a second, or the connection is lost; then the lease is
        lost too. ConfigurationError: the broker's user may not do it.
        """
        with self._told():
            if self._is_held:
                self._declare()
                self._keep_introduction()
            elif self._is_free() and self._take():
                self._introduce(text)
            else:
                return Holder(text=self._introduction(), seconds=3.0 * HEARTBEAT)
        return None

    def _declare(self) -> None:
        arguments = {"x-queue-type": "classic", "x-message-ttl": 0}
        self._channel.queue_declare(self.name, durable=False, exclusive=True, auto_delete=False, arguments=arguments)

    def _take(self) -> bool:
        """Return whether this process holds the lease now. Another one may have been quicker."""
        try:
            self._declare()
        except ResourceLocked:
            return False
        self._is_held = True
        self.terms += 1
        return True

    def _is_free(self) -> bool:
        self._is_returned = False
        self._asking.basic_publish_confirm(Message(b""), exchange="", routing_key=self.name, mandatory=True)
        return self._is_returned

    def _on_return(self, *_: Any) -> None:
        self._is_returned = True

    def _introduce(self, text: str) -> None:
        with self._talking() as channel:
            self._declare_about(channel)
            channel.basic_publish(Message(text.encode(errors="surrogateescape")), exchange="", routing_key=self._about)

    def _keep_introduction(self) -> None:
        with self._talking() as channel:
            self._declare_about(channel)

    def _introduction(self) -> str:
        """Return what the holder says of itself; "" if another process reads it at this moment."""
        with self._talking() as channel:
            self._declare_about(channel)
            found = channel.basic_get(self._about)
            if found is not None:  # it goes back when the channel is closed
                return bytes(found.body).decode(errors="replace")
        return ""

    def _declare_about(self, channel: Any) -> None:
        arguments = {"x-queue-type": "classic", "x-max-length": 1, "x-expires": _KEPT}
        channel.queue_declare(self._about, durable=True, exclusive=False, auto_delete=False, arguments=arguments)

    @contextlib.contextmanager
    def _talking(self) -> Iterator[Any]:
        """Yield a channel for what the lease does not depend on: the server may have another queue of that name."""
        channel = self._connection.channel()
        with contextlib.suppress(ChannelError):
            yield channel
        channel.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the errors of py-amqp into ConnectionError and ConfigurationError.

        After an error, and after an exception that a signal handler raises, the connection is of no use.
        """
        try:
            yield
        except AccessRefused as error:
            self._is_lost = True
            hint = f'allow its user to configure and read queues that begin with "{self.name}" (rabbitmqctl set_permissions)'
            raise ConfigurationError(f"The broker gives no lease: {error}.", hint=hint) from error
        except _LOST as error:
            self._is_lost = True
            raise ConnectionError(
                f"the connection of the lease is lost: {str(error) or type(error).__name__}"
            ) from error
        except BaseException:
            self._is_lost = True
            raise

    def give_up(self, text: str) -> None:
        """Close the connection, and so end the lease. This object cannot hold it again."""
        if self._is_held and not self._is_lost:
            with contextlib.suppress(*_LOST):
                self._channel.queue_delete(self._about)
        self.close()

    def wait(self, text: str, seconds: float) -> None:
        """Wait a moment. Raises ConnectionError if the connection is lost."""
        with self._told(), contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=min(max(seconds, 0.01), POLL))

    def close(self) -> None:
        """Close the connection. The server then ends the lease: it cannot be kept without the connection."""
        self._is_held = False
        with contextlib.suppress(*_LOST):
            if self._is_lost:
                self._connection.collect()
            else:
                self._connection.release()


def _short(name: str) -> str:
    encoded = name.encode(errors="surrogateescape")
    if len(encoded) <= _LONGEST_NAME:
        return name
    return f"tasktools:{hashlib.sha256(encoded).hexdigest()}"
