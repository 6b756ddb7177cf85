"""A purge on Redis and Valkey, while producers push at the head of a list and workers pop at its tail.

Each step is one command or one transaction of the server: there is no moment at which a message is neither in the queue nor
removed. So a process that is killed loses nothing, and the other messages keep their order.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasktools.brokers.keys import Keys
from tasktools.queues.purge import Purger

#: How many messages are read at once, at first and at most, and how many bytes of them are aimed at.
_FIRST, _MOST, _BYTES = 20, 500, 1_000_000

#: How long the server may be busy with one step, in seconds: it answers nobody else meanwhile.
_BUSY = 0.01


class RedisPurger(Purger):
    reads_tasks = True
    supports_remove = True

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.keys = Keys(connection.default_channel)
        self.client = self.keys.client
        self.client.set_retry(Retry(NoBackoff(), 0))  # a command that is sent twice would count wrong

    def bound(self) -> set[str]:
        with contextlib.suppress(redis.exceptions.NoPermissionError):  # its user may not use SCAN
            return set(self.keys.queues())
        return set()

    def length(self, queue: str, *, is_declared: bool) -> int | None:
        try:
            found = self.keys.length(queue)
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" in str(error):  # a key of another program
                return None
            raise
        if is_declared or queue in self.bound():
            return found
        return found if self._holds_messages(queue) else None

    def _holds_messages(self, queue: str) -> bool:
        """Whether a list that nobody has declared is a queue: another program may keep a list in this database."""
        ends = (self.client.lindex(key, end) for key in self.keys.lists(queue) for end in (-1, 0))
        return any(_is_message(raw) for raw in ends if raw is not None)

    def taken(self) -> int | None:
        return int(self.client.hlen(self.keys.full(self.keys.channel.unacked_key)))

    def tasks(self, queue: str) -> Iterator[Counter[str]]:
        for key in self.keys.lists(queue):
            start, most = 0, _FIRST
            while messages := self.client.lrange(key, start, start + most - 1):
                yield Counter(filter(None, map(task_of, messages)))
                start, most = start + len(messages), _next(most, messages)

    def empty(self, queue: str) -> int:
        with self.client.pipeline(transaction=True) as pipeline:
            for key in self.keys.lists(queue):
                pipeline.llen(key).unlink(key)  # its memory is freed in another thread of the server
            return sum(map(int, pipeline.execute()[::2]))

    def remove(self, queue: str, task: str) -> Iterator[int]:
        """Go through each list from its newest message to its oldest.

        A message that is pushed meanwhile moves the others away from the head: what is not read yet stays ahead.
        """
        for key in self.keys.lists(queue):
            start, most = 0, _FIRST
            while messages := self.client.lrange(key, start, start + most - 1):
                chosen = [raw for raw in messages if task_of(raw) == task]
                began = time.monotonic()
                removed = self._take_out(key, start, len(messages), chosen) if chosen else 0
                is_slow = time.monotonic() - began > _BUSY
                yield removed
                start += len(messages) - removed
                most = max(_FIRST, most // 2) if is_slow else _next(most, messages)

    def _take_out(self, key: str, start: int, count: int, chosen: Sequence[bytes]) -> int:
        """Remove these messages, as far as no worker has popped them; return how many.

        LREM with a message alone is right in any case. It compares the message with all that are nearer to the end of the
        list, so for many of them the transaction is quicker. It fails as long as others change the list meanwhile.
        """
        direction = 1 if start < self.client.llen(key) // 2 else -1
        try:
            return self._marked(key, start, count, direction, frozenset(chosen))
        except redis.exceptions.WatchError:
            pass
        with self.client.pipeline(transaction=False) as pipeline:
            for raw in chosen:
                pipeline.lrem(key, direction, raw)
            return sum(map(int, pipeline.execute()))

    def _marked(self, key: str, start: int, count: int, direction: int, chosen: Collection[bytes]) -> int:
        """Overwrite the messages by a mark and remove all marks, in one transaction. Raises WatchError."""
        mark = f"removed {uuid4()}"
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.watch(key)
            now = pipeline.lrange(key, start, start + count - 1)
            places = [start + place for place, raw in enumerate(now) if raw in chosen]
            if not places:
                return 0
            pipeline.multi()
            for place in places:
                pipeline.lset(key, place, mark)
            pipeline.lrem(key, direction * len(places), mark)
            return int(pipeline.execute()[-1])


def _next(most: int, messages: Sequence[bytes]) -> int:
    """Return how many messages to read next, after these."""
    average = sum(map(len, messages)) // len(messages) + 1
    return max(1, min(_MOST, most * 2, _BYTES // average))


def _is_message(raw: bytes) -> bool:
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(raw)
        return isinstance(content, dict) and {"body", "properties"} <= content.keys()
    return False


def task_of(raw: bytes) -> str | None:
    """Return the name of the task of a message as kombu keeps it: its header, or in Celery's protocol 1 a key of its body."""
    try:
        content = json.loads(raw)
        name = content["headers"].get("task")
        if name is None:
            name = _decoded(content).get("task")
        return name if isinstance(name, str) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # another program's message in the same queue


def _decoded(content: dict[str, Any]) -> Any:
    import base64

    body = content["body"]
    if content["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body)
    return json.loads(body)
