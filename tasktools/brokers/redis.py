"""Redis and Valkey."""

from __future__ import annotations

from typing import Any

from tasktools.brokers.base import Trace
from tasktools.brokers.portable import PortableBroker

#: How many messages of one queue are read when one is looked for.
MOST_READ = 10_000


class RedisBroker(PortableBroker):
    """Redis and Valkey: what lies in a queue can be read without taking it."""

    supports_find = True

    def options(self, limit: float) -> dict[str, Any]:
        return {"socket_timeout": limit, "socket_connect_timeout": limit}

    def find(self, task_id: str) -> Trace | None:
        """Look into the queues of the app, then among what workers have reserved.

        Of a queue longer than MOST_READ both ends are read. A message is kombu's JSON, which holds the id of its task as
        it is (kombu.transport.virtual.base.Message).
        """
        wanted = f'"{task_id}"'.encode()
        with self.publishing_connection(limit=5) as connection:
            channel = connection.default_channel
            for queue in self.app.amqp.queues:
                if any(wanted in message for message in _messages(channel, queue)):
                    return Trace(place="queued", queue=queue)
            if any(wanted in message for message in channel.client.hvals(channel.unacked_key)):
                return Trace(place="reserved")
        return None


def _messages(channel: Any, queue: str) -> list[bytes]:
    found: list[bytes] = []
    for step in channel.priority_steps:
        key = channel._q_for_pri(queue, step)
        length = channel.client.llen(key)
        found += channel.client.lrange(key, 0, MOST_READ // 2 - 1)
        if length > MOST_READ // 2:
            found += channel.client.lrange(key, max(-MOST_READ // 2, MOST_READ // 2 - length), -1)
    return found
