"""The keys of a Redis or Valkey that kombu's channel uses, and the client that reads and writes them.

kombu's own client adds `global_keyprefix` to some commands (HSET, LPUSH, WATCH) and not to others (HGETALL, HMGET, EXISTS), and
which ones differs between its versions. This client leaves names as they are, and `full` is the one place that adds the prefix.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any, NamedTuple

import redis

from tasktools.celery_compat import PRIORITY_LIST

#: How many messages of one queue are read when one is looked for.
MOST_READ = 10_000

#: How many of the newest messages of a queue are read for one that was just sent.
MOST_NEWEST = 1_000

#: How many scans of about 1,000 keys are made to find queues.
MOST_SCANS = 100

#: The characters with a special meaning in a pattern of SCAN.
_SPECIAL = re.compile(r"([*?\[\]\\^-])")


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

    def lengths(self, queues: Collection[str]) -> dict[str, int]:
        """Return how many messages wait in each of these queues. They are asked for in one round trip."""
        lists = [(queue, key) for queue in queues for key in self.lists(queue)]
        found = dict.fromkeys(queues, 0)
        with self.client.pipeline(transaction=False) as pipeline:
            for _, key in lists:
                pipeline.llen(key)
            for (queue, _), length in zip(lists, pipeline.execute(), strict=True):
                found[queue] += int(length)
        return found

    def queues(self) -> Iterator[str]:
        """Yield the queues that any producer has made (`enqueue --queue` makes one)."""
        yield from (binding.queue for binding in self.bindings())

    def bindings(self) -> Iterator[Binding]:
        """Yield the bindings of queues to exchanges. In a large database, only the first keys are read.

        kombu keeps the bindings of each exchange in a set. Each binding is `routing key SEP pattern SEP queue`
        (kombu.transport.redis.Channel._queue_bind).
        """
        begin = self.full(self.channel.keyprefix_queue % "")
        pattern = _SPECIAL.sub(r"\\\1", begin) + "*"
        cursor, tables = 0, []
        for _ in range(MOST_SCANS):
            cursor, some = self.client.scan(cursor, match=pattern, count=1000)
            tables += some
            if not cursor:
                break
        for table in tables:
            exchange = table.decode(errors="surrogateescape").removeprefix(begin)
            for member in self.client.smembers(table):
                parts = member.decode(errors="surrogateescape").split(self.channel.sep)
                yield Binding(exchange, parts[0], parts[1] if len(parts) > 2 else "", parts[-1])

    def reserved(self) -> Iterator[bytes]:
        """Yield the messages that workers have taken and not acknowledged."""
        entries = self.client.hscan_iter(self.full(self.channel.unacked_key), count=1000)
        return (message for _, message in islice(entries, MOST_READ))

    def take_back(self, queue: str, task_id: str) -> bool:
        """Remove the message of a task from the newest ones of a queue; return whether it was there."""
        for key in self.lists(queue):
            for message in self.client.lrange(key, 0, MOST_NEWEST - 1):
                if task_id.encode() in message:
                    return bool(self.client.lrem(key, 1, message))
        return False
