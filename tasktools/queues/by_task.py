"""How many messages of each task wait in a queue of Redis: all are read, in slices that no server feels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tasktools.brokers.keys import Keys
from tasktools.queues.messages import name_of
from tasktools.queues.slices import slices

#: More of one queue are read only if that is asked for.
MOST = 1_000_000

#: How many different names are counted, and how long each may be: anybody may write anything into a list.
MOST_NAMES, LONGEST_NAME = 10_000, 200


@dataclass(kw_only=True)
class ByTask:
    """What waits in a queue. Of a queue that changes meanwhile, the numbers are near."""

    #: None stands for messages that are not of Celery's tasks.
    counts: Counter[str | None] = field(default_factory=Counter)
    #: How many messages have other names, after MOST_NAMES.
    others: int = 0
    #: How many were not read.
    unread: int = 0
    #: How many were read.
    read: int = 0

    def add(self, messages: Sequence[bytes]) -> None:
        self.read += len(messages)
        for name, count in Counter(map(name_of, messages)).items():
            known = name if name is None else name[:LONGEST_NAME]
            if known in self.counts or len(self.counts) < MOST_NAMES:
                self.counts[known] += count
            else:
                self.others += count


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
            found.add(messages)
            yield found
