"""A purge on RabbitMQ, and other brokers that speak AMQP 0.9.1.

AMQP cannot look at a message without taking it. To remove those of one task, all that wait are taken. Those of the task are
acknowledged; the others go back to their place when the channel closes, also if this process is killed. The broker marks
them as redelivered, and until then no worker gets them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from tasktools.queues.purge import Purger

#: How long one step of the search may take, in seconds.
_STEP = 0.5


class AmqpPurger(Purger):
    supports_remove = True

    def length(self, queue: str, *, is_declared: bool) -> int | None:
        with self.connection.channel() as channel:  # the error closes it
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except self.connection.channel_errors as error:
                if getattr(error, "reply_code", None) != 404:
                    raise
        return 0 if is_declared else None

    def empty(self, queue: str) -> Iterator[int]:
        with self.connection.channel() as channel:
            yield int(channel.queue_purge(queue) or 0)

    def remove(self, queue: str, task: str) -> Iterator[int]:
        channel = self.connection.channel()
        try:
            left = int(channel.queue_declare(queue, passive=True).message_count)
            while left > 0:
                removed, seen = _step(channel, queue, task, left)
                channel.queue_declare(
                    queue, passive=True
                )  # its answer comes after the broker has done what was sent before
                yield removed
                left = left - seen if seen else 0
        except GeneratorExit:
            channel.close()
            raise
        channel.close()  # not after an error: a broker that is silent would not answer this either


def _step(channel: Any, queue: str, task: str, most: int) -> tuple[int, int]:
    """Take up to `most` messages; return how many of them were of the task, and how many there were."""
    began, removed, seen = time.monotonic(), 0, 0
    while seen < most and time.monotonic() - began < _STEP:
        message = channel.basic_get(queue)
        if message is None:
            break
        seen += 1
        if _task_of(message) == task:
            channel.basic_ack(message.delivery_tag)
            removed += 1
    return removed, seen


def _task_of(message: Any) -> str | None:
    """Return the name of a message's task: its header, or in Celery's protocol 1 a key of its body."""
    properties = message.properties
    name = (properties.get("application_headers") or {}).get("task")
    if name is None:
        try:
            name = json.loads(message.body)["task"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None  # another program's message in the same queue
    return name if isinstance(name, str) else None
