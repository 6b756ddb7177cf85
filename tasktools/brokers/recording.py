"""Record what Celery would send to a Redis broker, and do not send it: the commands of one or of many publishes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kombu.utils.json import dumps

from tasktools import celery_compat
from tasktools.brokers.keys import Keys

#: Values to store: by its full key each value, and the seconds after which it expires; None for never.
Stored = dict[str | bytes, tuple[str | bytes, int | None]]


class Command(NamedTuple):
    """A command with one message."""

    #: "lpush", "publish", or "event" for one of Celery's events, which is published too.
    name: str
    #: The full key of the list, or of the channel of a fanout exchange.
    key: str
    #: kombu's message, and its text at that moment: code that gets the message later may change it.
    message: Any
    value: str
    #: For a queue with `expires`: its lists, one for each priority, and the milliseconds after which they expire.
    expires: dict[str, int] | None = None


@dataclass
class Outgoing:
    """The commands of one batch."""

    lists: dict[str, list[str]] = field(default_factory=dict)
    expires: dict[str, int] = field(default_factory=dict)
    published: list[tuple[str, str]] = field(default_factory=list)
    #: What is stored with them.
    stored: Stored = field(default_factory=dict)
    #: What `transactions.announce` publishes after these commands.
    events: list[tuple[str, str]] = field(default_factory=list)
    slow: dict[str, str] = field(default_factory=dict)
    #: When its messages are made, in whole seconds since the epoch. As text: each message has it.
    made_at: str = field(default_factory=lambda: str(int(time.time())))

    def add(self, command: Command, value: str) -> None:
        """Add one message; in a list it comes after the earlier ones."""
        if command.name != "lpush":
            (self.events if command.name == "event" else self.published).append((command.key, value))
            return
        values = self.lists.get(command.key)
        if values is None:
            values = self.lists[command.key] = []
        values.append(value)
        if command.expires:
            self.expires |= command.expires

    def put_into(self, pipe: Any) -> None:
        """Add the commands to a redis-py pipeline."""
        for name, (value, seconds) in self.stored.items():
            pipe.set(name, value, ex=seconds)
        for key, values in self.lists.items():
            pipe.lpush(key, *values)
        for key, milliseconds in self.expires.items():
            pipe.pexpire(key, milliseconds)
        for topic, value in self.published:
            pipe.publish(topic, value)


class Recorder:
    """Takes the commands of kombu's channel before they reach the server (kombu.transport.redis.Channel)."""

    def __init__(self, keys: Keys, event_exchange: str) -> None:
        self.keys = keys
        self.event_exchange = event_exchange
        self.channel = keys.channel
        self._take: Callable[[Command], None]

    @contextlib.contextmanager
    def recording(self, take: Callable[[Command], None]) -> Iterator[None]:
        """Call `take` with each command of what the channel publishes inside the block."""
        self._take = take
        celery_compat.PUT.put(self.channel, self._put)
        celery_compat.PUT_FANOUT.put(self.channel, self._put_fanout)
        try:
            yield
        finally:
            for each in (celery_compat.PUT, celery_compat.PUT_FANOUT):
                delattr(self.channel, each.name)  # the method of its class is visible again

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        channel = self.channel
        after = (celery_compat.QUEUE_EXPIRY.get(channel) or {}).get(queue)
        expires = dict.fromkeys(self.keys.lists(queue), after) if after else None
        priority = celery_compat.MESSAGE_PRIORITY.of(channel)(message, reverse=False)
        key = self.keys.full(celery_compat.PRIORITY_LIST.of(channel)(queue, priority))
        self._take(Command("lpush", key, message, dumps(message), expires))

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **_: Any) -> None:
        several = celery_compat.PUBLISH_TOPICS.get(self.channel)
        if several is None:
            topics = [celery_compat.PUBLISH_TOPIC.of(self.channel)(exchange, routing_key)]
        else:
            topics = several(exchange, routing_key)
        name = "event" if exchange == self.event_exchange else "publish"
        for topic in topics:
            self._take(Command(name, self.keys.full(topic), message, dumps(message)))
