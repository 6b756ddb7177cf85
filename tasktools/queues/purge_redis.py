"""A purge on Redis and Valkey, while producers push at the head of a list and workers pop at its tail.

Each step is one command or one transaction of the server: there is no moment at which a message is neither in the queue nor
removed. So a process that is killed loses nothing, and the other messages keep their order.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasktools.brokers.keys import Keys
from tasktools.queues.found import holds_messages
from tasktools.queues.messages import task_of
from tasktools.queues.purge import Purger

#: How many messages are read at once, at first and at most, and how many bytes of them are aimed at.
_FIRST, _MOST, _BYTES = 4, 500, 1_000_000

#: How often a step is tried again, with fewer messages, because others have changed the list meanwhile.
_CONFLICTS = 15


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
        return found if holds_messages(self.keys, queue) else None

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
            start, most, conflicts = 0, _FIRST, 0
            while True:
                messages, length = self._slice(key, start, most)
                if not messages:
                    break
                chosen = [raw for raw in messages if task_of(raw) == task]
                direction = 1 if start < length // 2 else -1
                removed = self._marked(key, start, len(messages), direction, frozenset(chosen)) if chosen else 0
                if removed is None and conflicts < _CONFLICTS:
                    conflicts, most = conflicts + 1, max(_FIRST, most // 2)
                    yield 0
                    continue
                if removed is None:
                    removed = self._one_by_one(key, direction, chosen)
                yield removed
                start, most, conflicts = start + len(messages) - removed, _next(most, messages), 0

    def _slice(self, key: str, start: int, most: int) -> tuple[list[bytes], int]:
        """Return messages of a list, and its length."""
        with self.client.pipeline(transaction=False) as pipeline:
            messages, length = pipeline.lrange(key, start, start + most - 1).llen(key).execute()
        return messages, int(length)

    def _one_by_one(self, key: str, direction: int, chosen: Sequence[bytes]) -> int:
        """Remove these messages, as far as no worker has popped them; return how many.

        This is right however often others change the list, but slow: the server compares each with all up to its place.
        """
        with self.client.pipeline(transaction=False) as pipeline:
            for raw in chosen:
                pipeline.lrem(key, direction, raw)
            return sum(map(int, pipeline.execute()))

    def _marked(self, key: str, start: int, count: int, direction: int, chosen: Collection[bytes]) -> int | None:
        """Overwrite the messages by a mark and remove all marks, in one transaction; return how many.

        Return None, and change nothing, if others change the list at this moment: its places would be those of other messages.
        """
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
            try:
                return int(pipeline.execute()[-1])
            except redis.exceptions.WatchError:
                return None


def _next(most: int, messages: Sequence[bytes]) -> int:
    """Return how many messages to read next, after these."""
    average = sum(map(len, messages)) // len(messages) + 1
    return max(1, min(_MOST, most * 2, _BYTES // average))
