"""Send remote control to all workers, and learn from the broker who gets it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kombu import Producer

from tasktools.celery_compat import CONTROL_PUBLISH

if TYPE_CHECKING:
    from tasktools.control.replies import Replies


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Who has got it, as far as the broker knows."""

    #: How many workers; None if it does not say.
    listening: int | None = None
    #: The names of workers that have a queue for it, or had one when they were killed.
    bound: frozenset[str] = frozenset()


def send(
    mailbox: Any,
    tickets: Mapping[str, str],
    commands: Mapping[str, Mapping[str, Any]],
    destination: Collection[str] | None,
    limit: float,
    own: Replies | None = None,
) -> Sent:
    """Send a message for each command, which expires after `limit` seconds.

    `mailbox` is kombu's, bound to a connection. `tickets` has the commands by what marks their replies, which come to `own`,
    or to a queue that is declared for that.
    """
    channel = mailbox.connection.default_channel

    def publish() -> None:
        with Producer(channel, auto_declare=False) as producer:
            for ticket, command in tickets.items():
                if own is not None:
                    own.ask(mailbox, producer, ticket, command, commands[command], limit)
                    continue
                CONTROL_PUBLISH.of(mailbox)(
                    command,
                    dict(commands[command]),
                    destination=None if destination is None else list(destination),
                    reply_ticket=ticket,
                    channel=channel,
                    timeout=limit,
                    producer=producer,
                )

    if mailbox.connection.transport.driver_type != "redis":
        publish()
        return Sent()
    return _send_by_redis(mailbox, channel, publish)


def _send_by_redis(mailbox: Any, channel: Any, publish: Any) -> Sent:
    """Publish all at once. The server answers each PUBLISH with the number of clients that get it: each is a worker."""
    from tasktools.brokers.keys import Keys
    from tasktools.brokers.recording import Command, Recorder

    keys = Keys(channel)
    commands: list[Command] = []
    with Recorder(keys, "").recording(commands.append):
        publish()
    bindings = keys.full(channel.keyprefix_queue % mailbox.exchange.name)
    with keys.client.pipeline(transaction=False) as pipeline:
        pipeline.smembers(bindings)
        for command in commands:
            pipeline.publish(command.key, command.value)
        bound, *counts = pipeline.execute()
    ending = f".{mailbox.exchange.name}"
    queues = (binding.decode(errors="replace").split(channel.sep)[-1] for binding in bound)
    names = frozenset(queue.removesuffix(ending) for queue in queues if queue.endswith(ending))
    return Sent(listening=max(map(int, counts), default=0), bound=names)
