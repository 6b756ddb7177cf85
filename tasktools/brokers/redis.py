"""Redis and Valkey."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from tasktools.brokers.base import PRIVATE_SOCKET, Trace
from tasktools.brokers.portable import PortableBroker

#: How many messages of one queue are read when one is looked for.
MOST_READ = 10_000

#: How many times 1,000 keys are looked through for queues.
MOST_SCANS = 100


class RedisBroker(PortableBroker):
    """Redis and Valkey: what lies in a queue can be read without taking it."""

    supports_find = True

    def options(self, limit: float) -> dict[str, Any]:
        return {"socket_timeout": limit, "socket_connect_timeout": limit}

    def prepare(self) -> None:
        if str(self.app.conf.broker_url).startswith(PRIVATE_SOCKET):
            from tasktools.brokers import private

            private.prepare()

    def find(self, task_ids: Collection[str]) -> dict[str, Trace]:
        """Look into the queues of the app, then among what workers have reserved.

        Of a queue longer than MOST_READ both ends are read. A message is kombu's JSON: the id of its task is its header
        "id" (Celery's protocol 2) or its correlation_id.
        """
        found: dict[str, Trace] = {}
        with self.publishing_connection(limit=5) as connection:
            channel = connection.default_channel
            for message in _reserved(channel):
                found |= {task_id: Trace(place="reserved") for task_id in task_ids if _is_of(message, task_id)}
            for queue in _queues(self.app, channel):
                for message in _messages(channel, queue):
                    found |= {each: Trace(place="queued", queue=queue) for each in task_ids if _is_of(message, each)}
        return found


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


def _queues(app: Any, channel: Any) -> set[str]:
    """Return the app's queues, and those that any producer has made (`enqueue --queue` makes one).

    kombu keeps the bindings of an exchange as a set of its own, each as `routing key SEP pattern SEP queue`
    (kombu.transport.redis.Channel._queue_bind). Only the first keys of a large database are looked through.
    """
    client, prefix = channel.client, getattr(channel, "global_keyprefix", "") or ""
    cursor, keys = 0, []
    for _ in range(MOST_SCANS):
        cursor, some = client.scan(cursor, match=f"{prefix}{channel.keyprefix_queue % '*'}", count=1000)
        keys += some
        if not cursor:
            break
    members = (member for key in keys for member in client.smembers(key.decode().removeprefix(prefix)))
    return set(app.amqp.queues) | {member.decode().split(channel.sep)[-1] for member in members}


def _reserved(channel: Any) -> Iterator[bytes]:
    entries = channel.client.hscan_iter(channel.unacked_key, count=1000)
    return (message for _, message in islice(entries, MOST_READ))


def _messages(channel: Any, queue: str) -> Iterator[bytes]:
    for step in channel.priority_steps:
        key = channel._q_for_pri(queue, step)
        length = channel.client.llen(key)
        yield from channel.client.lrange(key, 0, MOST_READ // 2 - 1)
        if length > MOST_READ // 2:
            yield from channel.client.lrange(key, max(-MOST_READ // 2, MOST_READ // 2 - length), -1)
