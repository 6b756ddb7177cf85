"""A purge on RabbitMQ, and other brokers that speak AMQP 0.9.1.

AMQP cannot look at a message without taking it. To remove those of one task, all that wait are taken. Those of the task are
acknowledged; the others go back to their place when the channel closes, also if this process is killed. The broker marks
them as redelivered, and until then no worker gets them.

Two purges at once would each hold what the other seeks. So a purge of one task holds a queue that one connection alone may have
(exclusive), and another waits for it. The broker deletes that queue with the connection, also if this process is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

from amqp.exceptions import AccessRefused, ResourceLocked

from tasktools.exceptions import Declined
from tasktools.queues.purge import Purger

#: How long one step of the search may take, in seconds.
_STEP = 0.5

#: How long a purge waits for another one of the same queue, and between two attempts, in seconds.
WAIT, _PAUSE = 60.0, 0.5


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
        lock, until = "tasktools.purge." + hashlib.sha256(queue.encode()).hexdigest()[:32], time.monotonic() + WAIT
        while not self._locked(lock):
            if time.monotonic() > until:
                sentence = f'Another purge has held the messages of "{queue}" for {WAIT:.0f} seconds.'
                raise Declined(sentence, hint="run the command again when it has ended")
            time.sleep(_PAUSE)
            yield 0
        yield from self._remove(queue, task)
        self._unlock(lock)  # not after an error: a broker that is silent would not answer this either

    def _locked(self, lock: str) -> bool:
        """Take the lock; return False if another connection has it."""
        channel = self.connection.channel()
        try:
            channel.queue_declare(lock, exclusive=True, auto_delete=False)
        except ResourceLocked:  # the error has closed the channel
            return False
        except AccessRefused:  # its user may not make queues of this name
            return True
        channel.close()
        return True

    def _unlock(self, lock: str) -> None:
        """Give the lock back before the connection ends: there may be more queues to purge."""
        with contextlib.suppress(AccessRefused), self.connection.channel() as channel:
            channel.queue_delete(lock)

    def _remove(self, queue: str, task: str) -> Iterator[int]:
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
