"""How many messages of each task wait in a queue of Redis: all are read, in slices that no server feels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasktools.brokers.keys import Keys
from tasktools.queues.messages import name_of

#: How many messages a call reads at the most, and about how many bytes.
SLICE, SLICE_BYTES = 500, 1_000_000

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

    `most` is how many messages are read. They are read from the front on: new messages, which are added at the back, do not
    shift the others.
    """
    found = ByTask()
    yield found
    for key in keys.lists(queue):
        length, done, size = int(keys.client.llen(key)), 0, SLICE
        wanted = length if most is None else min(length, most - found.read)
        found.unread += length - wanted
        while done < wanted:
            count = min(size, wanted - done)
            messages = keys.client.lrange(key, -done - count, -done - 1)
            done += count
            if not messages:
                break  # workers have taken the rest
            found.counts.update(map(name_of, messages))
            found.read += len(messages)
            size = _fitting(sum(map(len, messages)) / len(messages))
            yield found


def _fitting(length: float) -> int:
    """Return how many messages of this length a call may read."""
    return max(1, min(SLICE, int(SLICE_BYTES / max(length, 1))))
