"""What becomes of items that the database refuses: it takes no writes now, or it is an item's own fault."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from tasktools.failures.failure import Failure, Mended
from tasktools.failures.insertion import Refused, called

logger = logging.getLogger("tasktools.failures")

#: How often the database may refuse the first item before that one goes to the end of the queue.
REFUSALS = 5

#: How big it may be then, in bytes.
LIGHT = 20_000

Items = list[Failure | Mended]


class Refusals:
    """Knows what was refused since a batch was last written."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Note that a batch was written."""
        self._number = 0
        #: The key of what was refused while others went in.
        self._suspect: Any = None

    def sort_out(self, batch: Sequence[Failure | Mended], error: Refused) -> tuple[Items, Items]:
        """Return what of a batch stays at the front of the queue, and what goes to its end. The rest is done with.

        After some attempts the others go first. What is refused twice while others go in is tried without its message. It is
        not recorded if it is refused twice again. What a disk has no room for waits as it is, and the others go first at once
        if some of them go in.
        """
        kept = [each for each in batch if _key(each) is None or _key(each) not in error.done]
        refused = [each for each in kept if _key(each) is not None and _key(each) == error.key] or kept[:1]
        others = [each for each in kept if each not in refused]
        if error.works and error.lacks_room:
            self.forget()
            return others, refused
        if error.works and error.key == self._suspect:
            self.forget()
            item = refused[0]
            if isinstance(item, Failure) and item.message.body is not None:
                logger.warning("A failed task is recorded without its message: %s: %s", called(item), error)
                return [item.lighter(LIGHT, "the database has refused it"), *others], []
            logger.error("A failed task is not recorded: %s: %s", called(item), error)
            return others, []
        if error.works:
            self._number, self._suspect = 0, error.key
        self._number += 1
        if self._number < REFUSALS:
            return kept, []
        self._number = 0
        return others, refused


def _key(item: Failure | Mended) -> Any:
    return getattr(item, "key", None)
