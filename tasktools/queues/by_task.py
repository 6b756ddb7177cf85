"""How many messages of each task wait in a queue of Redis: all are read, in slices that no server feels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasktools.brokers.keys import Keys
from tasktools.queues.messages import name_of
from tasktools.queues.slices import slices

#: More of one queue are read only if that is asked for.
MOST = 1_000_000


@dataclass(kw_only=True)
class ByTask:
    """What waits in a queue. Of a queue that changes meanwhile, the numbers are near."""

    #: None stands for messages that are not of Celery's tasks.
    counts: Counter[str | None] = field(default_factory=Counter)
    #: How many were not read.
    unread: int = 0
    #: How many were read.
    read: int = 0


def by_task(keys: Keys, queue: str, *, most: int | None = MOST) -> Iterator[ByTask]:
    """Yield what is counted so far, after each slice; it is always the same object. The next messages are counted first.

    `most` is how many messages are read.
    """
    found = ByTask()
    yield found
    for key in keys.lists(queue):
        length = int(keys.client.llen(key))
        wanted = length if most is None else min(length, most - found.read)
        found.unread += length - wanted
        for messages in slices(keys, key, wanted):
            found.counts.update(map(name_of, messages))
            found.read += len(messages)
            yield found
