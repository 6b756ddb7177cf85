"""A purge on Redis and Valkey, while producers push at the head of a list and workers pop at its tail.

Each step is one command, one script or one transaction of the server: there is no moment at which a message is neither in the
queue nor removed. So a process that is killed loses nothing, and the other messages keep their order.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasktools.brokers.keys import Keys, is_other_type
from tasktools.brokers.transactions import broken
from tasktools.queues import purge_script
from tasktools.queues.found import holds_messages
from tasktools.queues.messages import task_of
from tasktools.queues.purge import Purger
from tasktools.queues.purge_pass import Pass
from tasktools.queues.slices import Pace

#: How many messages are read at once, at first and at most, and how many bytes of them are aimed at.
_FIRST, _MOST, _BYTES = 4, 500, 1_000_000

#: How often a step is tried again because others have changed the list meanwhile: a transaction with fewer messages.
_CONFLICTS = 15

#: In a list of up to so many messages it is quicker to remove each for itself after a few conflicts.
_SHORT, _CONFLICTS_IF_SHORT = 10_000, 2

#: How often a list is gone through, at most, because others have removed so much of it that the place was lost.
PASSES = 10


class RedisPurger(Purger):
    reads_tasks = True
    supports_remove = True

    #: Whether steps are scripts: until the server refuses one.
    runs_scripts = True

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
            if not is_other_type(error):
                raise
            return None
        if is_declared or queue in self.bound():
            return found
        return found if holds_messages(self.keys, queue) else None

    def other_kind(self, queue: str) -> str:
        with contextlib.suppress(redis.exceptions.NoPermissionError):
            kind = str(self.client.type(self.keys.full(queue)).decode())
            return "" if kind == "none" else kind
        return ""

    def taken(self) -> int | None:
        return int(self.client.hlen(self.keys.full(self.keys.channel.unacked_key)))

    def tasks(self, queue: str) -> Iterator[Counter[str]]:
        for key in self.keys.lists(queue):
            start, pace = 0, self._pace(key)
            while messages := self.client.lrange(key, start, start + pace.count - 1):
                yield Counter(filter(None, map(task_of, messages)))
                start += len(messages)
                pace.saw_all(messages)

    def empty(self, queue: str) -> Iterator[int]:
        for key in self.keys.lists(queue):
            left, pace = int(self.client.llen(key)), self._pace(key)
            while left > 0:
                try:
                    with self.client.pipeline(transaction=True) as pipeline:
                        # its memory is freed in another thread of the server
                        yield int(pipeline.llen(key).unlink(key).execute()[0])
                    break
                except redis.exceptions.OutOfMemoryError:  # a full server takes no transaction
                    popped = self._popped(key, min(left, pace.count))
                    yield len(popped)
                    left = left - len(popped) if popped else 0
                    pace.saw_all(popped)

    def _popped(self, key: str, count: int) -> list[bytes]:
        """Take the oldest messages out of a list, and return them: they are the only true count outside a transaction."""
        with self.client.pipeline(transaction=False) as pipeline:
            for _ in range(count):
                pipeline.rpop(key)
            return [raw for raw in pipeline.execute() if raw is not None]

    def remove(self, queue: str, task: str) -> Iterator[int]:
        self.is_sure = True
        for key in self.keys.lists(queue):
            for _ in range(PASSES):
                one = Pass()
                yield from self._pass(key, task, one)
                if one.is_sure:
                    break
            self.is_sure = self.is_sure and one.is_sure

    def _pass(self, key: str, task: str, one: Pass) -> Iterator[int]:
        """Go through a list from its newest message to its oldest.

        A message that is pushed meanwhile moves the others away from the head: what is not read yet stays ahead. If somebody else
        removes messages near the head, what is not read yet slides towards the head; `one` finds it again.
        """
        pace, conflicts = self._pace(key), 0
        while True:
            messages, length = self._unread(key, pace.count, one)
            if not messages and one.start >= length:
                return
            chosen = [raw for raw in messages if task_of(raw) == task]
            direction = 1 if one.start < length // 2 else -1
            is_last = conflicts >= (_CONFLICTS if length > _SHORT else _CONFLICTS_IF_SHORT)
            removed, is_done = self._removed(key, one.start, messages, direction, chosen, is_last=is_last)
            yield removed
            if not is_done:
                conflicts += 1
                is_smaller = length > _SHORT and not self.runs_scripts
                pace.count = max(min(_FIRST, pace.count), pace.count // 2) if is_smaller else pace.count
                continue
            one.advance(messages, frozenset(chosen))
            pace.saw_all(messages)
            conflicts = 0

    def _pace(self, key: str) -> Pace:
        return Pace(keys=self.keys, key=key, most=_MOST, count=_FIRST)

    def _unread(self, key: str, most: int, one: Pass) -> tuple[Sequence[bytes], int]:
        """Return messages of a list that this pass has not read, and the length of the list; move its start to the first."""
        first = max(0, one.start - 1)
        messages, length = self._slice(key, first, most + one.start - first)
        if one.is_in_place(messages):
            return messages[one.start - first :], length
        reach = _near(messages)
        first = max(0, min(one.start, length) - reach)
        around, length = self._slice(key, first, 2 * reach)
        return one.find(around, first, is_all=first == 0 and len(around) == length)[:most], length

    def _removed(
        self, key: str, start: int, seen: Sequence[bytes], direction: int, chosen: Sequence[bytes], *, is_last: bool
    ) -> tuple[int, bool]:
        """Remove some messages of those that were `seen` from `start` on.

        Return how many, and whether all are gone; if not, it is to be tried again.
        """
        if not chosen:
            return 0, True
        try:
            removed, is_done = self._step(key, start, seen, direction, chosen)
        except redis.exceptions.OutOfMemoryError:  # a full server takes neither a transaction nor a mark
            removed, is_done, is_last = 0, False, True
        if is_done or not is_last:
            return removed, is_done
        return removed + self._one_by_one(key, direction, chosen), True

    def _step(
        self, key: str, start: int, seen: Sequence[bytes], direction: int, chosen: Sequence[bytes]
    ) -> tuple[int, bool]:
        """Remove them at once: by a script, which finds what others have moved; by a transaction if there are no scripts."""
        if self.runs_scripts:
            try:
                return purge_script.remove(self.client, key, start, len(seen) + _near(seen), direction, chosen)
            except purge_script.ScriptsRefused:
                self.runs_scripts = False
        removed = self._marked(key, start, len(seen), direction, frozenset(chosen))
        return removed or 0, removed is not None

    def _slice(self, key: str, start: int, most: int) -> tuple[Sequence[bytes], int]:
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
            answers = pipeline.execute(raise_on_error=False)
        errors = [each for each in answers if isinstance(each, Exception)]
        if len(errors) == len(answers):
            raise errors[0]
        return sum(int(each) for each in answers if not isinstance(each, Exception))

    def _marked(self, key: str, start: int, count: int, direction: int, chosen: AbstractSet[bytes]) -> int | None:
        """Overwrite the messages by a mark and remove all marks, in one transaction; return how many.

        Return None, and change nothing, if others change the list at this moment: its places would be those of other messages.
        """
        mark = f"removed {uuid4()}"
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.watch(key)
            now = pipeline.lrange(key, start, start + count - 1)
            places = [start + place for place, raw in enumerate(now) if raw in chosen]
            if not chosen <= set(now):  # they have moved, or are gone
                return None
            pipeline.multi()
            for place in places:
                pipeline.lset(key, place, mark)
            pipeline.lrem(key, direction * len(places), mark)
            try:
                return int(pipeline.execute()[-1])
            except redis.exceptions.WatchError as error:
                if lost := broken(error):
                    raise lost from None
                return None


def _near(messages: Sequence[bytes]) -> int:
    """Return how many messages may be read at once that are about as long as these."""
    average = sum(map(len, messages)) // max(1, len(messages)) + 1
    return max(1, min(_MOST, _BYTES // average))
