"""Redis and Valkey."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

import redis

from tasktools.brokers.base import PRIVATE_SOCKET, Trace
from tasktools.brokers.portable import PortableBroker

#: How many messages of one queue are read when one is looked for.
MOST_READ = 10_000

#: How many times 1,000 keys are looked through for queues.
MOST_SCANS = 100


class RedisBroker(PortableBroker):
    """Redis and Valkey: what lies in a queue can be read without taking it."""

    supports_find = True
    supports_transactions = True

    def options(self, limit: float) -> dict[str, Any]:
        return {"socket_timeout": limit, "socket_connect_timeout": limit}

    def prepare(self) -> None:
        if str(self.app.conf.broker_url).startswith(PRIVATE_SOCKET):
            from tasktools.brokers import private

            private.prepare()

    def find(self, task_ids: Collection[str]) -> dict[str, Trace]:
        """Look among what workers have reserved, then into the queues of the app and of any producer.

        Of a queue longer than MOST_READ both ends are read. A message is kombu's JSON: the id of its task is its header
        "id" (Celery's protocol 2) or its correlation_id.
        """
        found: dict[str, Trace] = {}
        with self.publishing_connection(limit=5) as connection:
            keys = _Keys(connection.default_channel)
            for message in keys.reserved():
                found |= {task_id: Trace(place="reserved") for task_id in task_ids if _is_of(message, task_id)}
            for queue in set(self.app.amqp.queues).union(_allowed(keys.queues())):
                for message in keys.messages(queue):
                    found |= {each: Trace(place="queued", queue=queue) for each in task_ids if _is_of(message, each)}
        return found


class _Keys:
    """The keys that kombu's channel uses, read by a client that leaves names as they are: kombu's own prefixes some."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.prefix: str = getattr(channel, "global_keyprefix", "") or ""
        self.client: Any = redis.Redis(connection_pool=channel.pool)

    def queues(self) -> Iterator[str]:
        """Yield the queues that any producer has made (`enqueue --queue` makes one).

        kombu keeps the bindings of an exchange as a set of its own, each as `routing key SEP pattern SEP queue`
        (kombu.transport.redis.Channel._queue_bind). Only the first keys of a large database are looked through.
        """
        cursor, tables = 0, []
        for _ in range(MOST_SCANS):
            cursor, some = self.client.scan(cursor, match=self.prefix + self.channel.keyprefix_queue % "*", count=1000)
            tables += some
            if not cursor:
                break
        bindings = (binding for table in tables for binding in self.client.smembers(table))
        yield from (binding.decode().split(self.channel.sep)[-1] for binding in bindings)

    def reserved(self) -> Iterator[bytes]:
        entries = self.client.hscan_iter(self.prefix + self.channel.unacked_key, count=1000)
        return (message for _, message in islice(entries, MOST_READ))

    def messages(self, queue: str) -> Iterator[bytes]:
        for step in self.channel.priority_steps:
            key = self.prefix + self.channel._q_for_pri(queue, step)
            length = self.client.llen(key)
            yield from self.client.lrange(key, 0, MOST_READ // 2 - 1)
            if length > MOST_READ // 2:
                yield from self.client.lrange(key, max(-MOST_READ // 2, MOST_READ // 2 - length), -1)


def _allowed(names: Iterable[str]) -> Iterator[str]:
    """Yield as many of the names as the user of the broker may read: often its rules leave out SCAN."""
    with contextlib.suppress(redis.exceptions.NoPermissionError):
        yield from names


def _is_of(message: bytes, task_id: str) -> bool:
    if json.dumps(task_id).encode() not in message:
        return False
    try:
        parsed = json.loads(message)
        content = (
            parsed[0] if isinstance(parsed, list) else parsed
        )  # what is reserved: [message, exchange, routing key]
        return task_id in (content["headers"].get("id"), content["properties"].get("correlation_id"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False  # somebody else's message in the same queue
