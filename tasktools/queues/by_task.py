"""How many messages of each task wait in a queue of Redis: all are read, in slices that no server feels."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasktools.brokers.keys import Keys
from tasktools.queues.messages import name_of

#: How many messages a call reads at the most, and about how many bytes. In a long list the server walks to the place of a slice
#: from the nearer end, in milliseconds where the list is not in the processor's cache: shorter slices make it walk more often.
SLICE, SLICE_BYTES = 1_000, 1_000_000

#: How many calls are under way at once: the server reads while the answers before are counted here.
AHEAD = 4

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


def slices(keys: Keys, key: str, wanted: int) -> Iterator[list[bytes]]:
    """Yield the messages of a list from the front on: new ones, which are added at the back, do not shift the others.

    The slices are smaller if the messages are long: this bounds the memory, and how long the server is busy with one call.
    """
    size, asked, under_way = 1, 0, deque[int]()
    with keys.client.client() as single:  # one connection of the pool, which answers in the order of the calls
        connection = single.connection
        try:
            while asked < wanted or under_way:
                # Not before all is read: redis-py gives its buffer back only when that is empty.
                is_read = not under_way
                while is_read and asked < wanted and len(under_way) < AHEAD:
                    count = min(size, wanted - asked)
                    connection.send_command("LRANGE", key, -asked - count, -asked - 1)
                    under_way.append(count)
                    asked += count
                messages = connection.read_response()
                under_way.popleft()
                if messages:  # else workers have taken them
                    size = _fitting(max(map(len, messages)), size)
                    yield messages
        finally:
            if under_way:
                connection.disconnect()  # the answers that are not read must not be those of somebody else's calls


def _fitting(longest: int, before: int) -> int:
    """Return how many messages the next call may read. It is at most doubled, for the next ones may be longer."""
    return max(1, min(SLICE, 2 * before, SLICE_BYTES // max(longest, 1)))
