"""A list of Redis read in slices, so that neither the server nor this process feels it, however long its messages are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import redis

from tasktools.brokers.keys import Keys

#: How many messages a call reads at the most, and about how many bytes. In a long list the server walks to the place of a slice
#: from the nearer end, in milliseconds where the list is not in the processor's cache: shorter slices make it walk more often.
SLICE, SLICE_BYTES = 1_000, 1_000_000

#: How many calls are under way at once: the server reads while the answers before are read here.
AHEAD = 4

#: How many messages a call reads as long as any of them may be much longer than those before.
CAREFUL = 16

#: So many bytes may come unexpected.
_SURPRISE = 20_000_000

#: How many nodes of the list the server adds up, from the newest on; a node holds about 8 kB, or one longer message. The server
#: does nothing else meanwhile: where its nodes are scattered in memory (libc's malloc), it takes a microsecond for two of them.
_SAMPLES = 20_000

#: What the server says of the memory of a list may be so much above the length of its messages.
_OVERHEAD = 1.25


@dataclass(kw_only=True)
class Pace:
    """How many messages of one list to read next."""

    keys: Keys
    key: str
    most: int = SLICE
    size: int = SLICE_BYTES
    #: So many are read next.
    count: int = 1
    _read: int = 0
    _size: int = 0
    _whole: tuple[int, int] | None = None
    _is_asked: bool = False

    @property
    def limit(self) -> int:
        """How many may be read at once: few, if the list holds many more bytes than follow from the messages read so far."""
        if not self._is_asked:
            self._is_asked, self._whole = True, _memory(self.keys, self.key)
        if self._whole is None or not self._read:
            return min(CAREFUL, self.most)
        length, size = self._whole
        expected = _OVERHEAD * self._size / self._read * max(length - self._read, 0)
        return min(CAREFUL, self.most) if size - self._size - expected > _SURPRISE else self.most

    def saw(self, number: int, size: int, longest: int) -> None:
        """Note the messages that were read: how many, and how long all of them and the longest one are, in bytes.

        The next slice is at most twice as large, for its messages may be longer; if these were long, it is small at once.
        """
        self._read += number
        self._size += size
        wanted = max(1, min(self.most, 2 * self.count, self.size // max(longest, 1)))
        self.count = min(wanted, self.limit) if wanted > CAREFUL else wanted

    def saw_all(self, messages: Sequence[bytes]) -> None:
        lengths = list(map(len, messages))
        self.saw(len(lengths), sum(lengths), max(lengths, default=0))


def _memory(keys: Keys, key: str) -> tuple[int, int] | None:
    """Return how many messages a list holds, and how many bytes of memory; None if its user may not ask."""
    try:
        with keys.client.pipeline(transaction=False) as pipeline:
            length, size = pipeline.llen(key).memory_usage(key, samples=_SAMPLES).execute()
    except redis.exceptions.ResponseError:
        return None
    return int(length), int(size or 0)


def slices(keys: Keys, key: str, wanted: int) -> Iterator[list[bytes]]:
    """Yield the messages of a list from the front on: new ones, which are added at the back, do not shift the others."""
    pace, asked, under_way = Pace(keys=keys, key=key, most=SLICE), 0, deque[int]()
    with keys.client.client() as single:  # one connection of the pool, which answers in the order of the calls
        connection = single.connection
        try:
            while asked < wanted or under_way:
                # Not before all is read: redis-py gives its buffer back only when that is empty.
                is_read = not under_way
                while is_read and asked < wanted and len(under_way) < AHEAD:
                    count = min(pace.count, wanted - asked)
                    connection.send_command("LRANGE", key, -asked - count, -asked - 1)
                    under_way.append(count)
                    asked += count
                messages = connection.read_response()
                under_way.popleft()
                if messages:  # else workers have taken them
                    pace.saw_all(messages)
                    yield messages
        finally:
            if under_way:
                connection.disconnect()  # the answers that are not read must not be those of somebody else's calls
