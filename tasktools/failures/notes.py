"""What the worker's loop notes of a failure: as little as possible. The rest is done later, for many failures in a row.

Between two tasks, other code has taken the processor's caches. What the loop runs once for a failure takes there about ten
times as long as it does in a row, so that noting a failure took more time than writing its row.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable

from tasktools.failures.failure import Failure, Mended
from tasktools.failures.insertion import called

logger = logging.getLogger("tasktools.failures")

NOT_RECORDED = "A failed task could not be recorded."

#: How many notes wait at most, and about how many bytes of them: a note keeps the message, and texts that are not cut.
MOST = 100
MOST_BYTES = 2**20

#: Makes the failure of a note.
Make = Callable[[], Failure]


class Notes:
    """What waits to be made a failure. It has no lock: its owner's is held by whoever uses it."""

    def __init__(self) -> None:
        #: Each with its size.
        self._makes: deque[tuple[Make, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._makes)

    def add(self, make: Make, size: int) -> bool:
        """Keep a note of about `size` bytes; return whether all must be made now."""
        self._makes.append((make, size))
        self._bytes += size
        return len(self._makes) >= MOST or self._bytes >= MOST_BYTES

    def made(self) -> Failure | None:
        """Remove the first note; return its failure, or None if it cannot be made. There must be a note."""
        make, size = self._makes.popleft()
        self._bytes -= size
        try:
            return make()
        except Exception:
            logger.exception(NOT_RECORDED)
            return None


def fitting(item: Failure | Mended, most: int) -> Failure | Mended:
    """Return an item that takes at most `most` bytes: one that would never fit is kept in part, with a line in the log."""
    if not isinstance(item, Failure) or item.size <= most:
        return item
    logger.error(
        "A failed task is recorded without its message: %s: it is too big, with about %s bytes",
        called(item),
        f"{item.size:,}",
    )
    return item.lighter(most)


def first(items: Iterable[Failure | Mended], most: int, most_bytes: int) -> list[Failure | Mended]:
    """Return the first items: one at least, then as many as are within the limits."""
    chosen: list[Failure | Mended] = []
    size = 0
    for each in items:
        size += each.size
        if chosen and (len(chosen) == most or size > most_bytes):
            break
        chosen.append(each)
    return chosen
