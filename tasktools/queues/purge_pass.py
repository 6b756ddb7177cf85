"""How far a purge has gone through a list of Redis that others change at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

#: How many of the messages that stay are remembered, to find the place again.
_REMEMBERED = 1_000


class Pass:
    """How far one pass through a list is: all before `start` is read. Others push and remove at the same time."""

    def __init__(self) -> None:
        self.start = 0
        #: Whether each message that was in the list when the pass began has been read.
        self.is_sure = True
        #: What was read last and stays, as hashes: a message may be large.
        self._stayed: deque[int] = deque(maxlen=_REMEMBERED)

    def advance(self, messages: Sequence[bytes], chosen: Collection[bytes]) -> None:
        """Note that these messages, from `start` on, were read, and that the chosen ones are gone."""
        stayed = [hash(raw) for raw in messages if raw not in chosen]
        self.start += len(stayed)
        self._stayed.extend(stayed)

    def is_in_place(self, messages: Sequence[bytes]) -> bool:
        """Whether nothing has moved. `messages` begin with the last one that was read and stays, if there is one."""
        return self.start == 0 or bool(messages and self._stayed and hash(messages[0]) == self._stayed[-1])

    def find(self, around: Sequence[bytes], first: int, *, is_all: bool) -> Sequence[bytes]:
        """Set `start` behind the last of these messages that was read, and return those that follow.

        `around` begins at `first`; `is_all` says that it is the whole list. If none of them was read, others have removed all
        that were, or pushed very many: what is not read may be nearer to the head.
        """
        stayed = set(self._stayed)
        place = next((place for place in reversed(range(len(around))) if hash(around[place]) in stayed), None)
        if place is not None or is_all:
            self.start = first + (0 if place is None else place + 1)
        else:
            self.is_sure = False
            self.start = max(first, min(self.start, first + len(around)))
        return around[self.start - first :]
