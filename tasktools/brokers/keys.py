"""The keys of a Redis or Valkey that kombu's channel uses, and the client that reads and writes them.

kombu's own client adds `global_keyprefix` to some commands (HSET, LPUSH, WATCH) and not to others (HGETALL, HMGET, EXISTS), and
which ones differs between its versions. This client leaves names as they are, and `full` is the one place that adds the prefix.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

import redis

from tasktools.celery_compat import PRIORITY_LIST

#: How many messages of one queue are read when one is looked for.
MOST_READ = 10_000

#: How many of the newest messages of a queue are read for one that was just sent.
MOST_NEWEST = 1_000

#: About how many of the messages that are taken are read in one round trip.
_RESERVED = 200

#: How many scans of about 1,000 keys are made to find queues.
MOST_SCANS = 100

#: The characters with a special meaning in a pattern of SCAN.
_SPECIAL = re.compile(r"([*?\[\]\\^-])")


def is_other_type(answer: object) -> bool:
    """Whether it is the error for a key that holds something else, such as a string of another program in place of a list."""
    return isinstance(answer, redis.exceptions.ResponseError) and str(answer).startswith("WRONGTYPE")


class Binding(NamedTuple):
    """A queue that gets the messages of an exchange with this routing key, or with one that matches the pattern."""

    exchange: str
    routing_key: str
    #: A regular expression; "" if the exchange takes none.
    pattern: str
    queue: str


class Keys:
    """The keys of one channel (kombu.transport.redis.Channel)."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.prefix: str = getattr(channel, "global_keyprefix", "") or ""
        self.client: Any = redis.Redis(connection_pool=channel.pool)
        #: The keys, in full, that were found to hold something else than what kombu puts there.
        self.other_type: set[str] = set()
        #: Whether the last look for bindings went through all keys of the database.
        self.saw_all_bindings = False

    def full(self, name: str) -> str:
        """Return the key or the pub/sub channel as the server knows it."""
        return self.prefix + name

    def move_aside(self, key: str) -> str:
        """Rename a key, given in full, that holds something else than it should; return the name that it has then."""
        aside = f"{key}:moved-aside"
        self.client.rename(key, aside)
        return aside

    def lists(self, queue: str) -> list[str]:
        """Return the lists of a queue, one for each priority."""
        return [self.full(PRIORITY_LIST.of(self.channel)(queue, step)) for step in self.channel.priority_steps]

    def length(self, queue: str) -> int:
        """Return how many messages wait in a queue; 0 for one that does not exist."""
        return sum(int(self.client.llen(key)) for key in self.lists(queue))

    def lengths(self, queues: Collection[str]) -> dict[str, int | None]:
        """Return how many messages wait in each of these queues, None if a key of its holds no list.

        They are asked for in one round trip.
        """
        lists = [(queue, key) for queue in queues for key in self.lists(queue)]
        found: dict[str, int | None] = dict.fromkeys(queues, 0)
        with self.client.pipeline(transaction=False) as pipeline:
            for _, key in lists:
                pipeline.llen(key)
            answers = pipeline.execute(raise_on_error=False)
        for (queue, key), length in zip(lists, answers, strict=True):
            before = found[queue]
            if is_other_type(length):
                self.other_type.add(key)
                found[queue] = None
            elif isinstance(length, Exception):
                raise length
            elif before is not None:
                found[queue] = before + int(length)
        return found

    def queues(self) -> Iterator[str]:
        """Yield the queues that any producer has made (`enqueue --queue` makes one). In a large database, not all."""
        yield from (binding.queue for some in self.bindings() for binding in some)

    def bindings(self, most: int | None = MOST_SCANS) -> Iterator[list[Binding]]:
        """Yield the bindings of queues to exchanges that each scan has found, after at most so many scans.

        kombu keeps the bindings of each exchange in a set. Each binding is `routing key SEP pattern SEP queue`
        (kombu.transport.redis.Channel._queue_bind).
        """
        begin = self.full(self.channel.keyprefix_queue % "")
        pattern = _SPECIAL.sub(r"\\\1", begin) + "*"
        cursor, scans, seen = 0, 0, set[bytes]()
        self.saw_all_bindings = False
        while most is None or scans < most:
            cursor, some = self.client.scan(cursor, match=pattern, count=1000)
            scans += 1
            tables = [table for table in dict.fromkeys(some) if table not in seen]  # SCAN may return a key twice
            seen.update(tables)
            yield [binding for table in tables for binding in self._bindings(table, begin)]
            if not cursor:
                self.saw_all_bindings = True
                return

    def _bindings(self, table: bytes, begin: str) -> Iterator[Binding]:
        exchange = table.decode(errors="surrogateescape").removeprefix(begin)
        for member in self._members(table):
            parts = member.split(self.channel.sep)
            yield Binding(exchange, parts[0], parts[1] if len(parts) > 2 else "", parts[-1])

    def _members(self, table: bytes) -> Iterator[str]:
        """Yield what a set holds. What is no UTF-8 is left out: kombu can make no queue of that name."""
        try:
            members = self.client.smembers(table)
        except redis.exceptions.ResponseError as error:
            if not is_other_type(error):
                raise
            self.other_type.add(table.decode(errors="backslashreplace"))
            return
        for member in members:
            with contextlib.suppress(UnicodeDecodeError):
                yield member.decode()

    def has_unacked(self) -> bool:
        """Whether kombu's two keys of what workers have taken are of its type, or not there."""
        index, entries = self.full(self.channel.unacked_index_key), self.full(self.channel.unacked_key)
        with self.client.pipeline(transaction=False) as pipeline:
            answers = pipeline.zcard(index).hlen(entries).execute(raise_on_error=False)
        odd = {key for key, answer in zip((index, entries), answers, strict=True) if is_other_type(answer)}
        self.other_type |= odd
        return not odd

    def reserved(self) -> Iterator[bytes]:
        """Yield messages that workers have taken and not acknowledged, at most MOST_READ."""
        return islice(chain.from_iterable(self.reserved_slices()), MOST_READ)

    def reserved_slices(self) -> Iterator[list[bytes]]:
        """Yield all messages that workers have taken and not acknowledged, some in each round trip."""
        key, cursor = self.full(self.channel.unacked_key), -1
        while cursor:
            try:
                cursor, some = self.client.hscan(key, max(cursor, 0), count=_RESERVED)
            except redis.exceptions.ResponseError as error:
                if not is_other_type(error):
                    raise
                self.other_type.add(key)
                return
            yield list(some.values())

    def take_back(self, queue: str, task_id: str) -> bool:
        """Remove the message of a task from the newest ones of a queue; return whether it was there."""
        for key in self.lists(queue):
            for message in self.client.lrange(key, 0, MOST_NEWEST - 1):
                if task_id.encode() in message:
                    return bool(self.client.lrem(key, 1, message))
        return False
