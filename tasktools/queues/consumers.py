"""How many workers take from each queue, from what they say and from what the broker knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tasktools.brokers.keys import Keys
from tasktools.brokers.listeners import clients, waiting


@dataclass(frozen=True, kw_only=True)
class Readers:
    """The workers, as far as they have answered."""

    #: The queues of each one that has answered, None for one that has not said them.
    queues: Sequence[Collection[str] | None] = ()
    #: How many more listen and have not answered; None if nobody knows.
    silent: int | None = None

    @property
    def taken(self) -> list[str]:
        """The queue of each worker that takes from it, several times if several do."""
        return [queue for each in self.queues for queue in each or ()]


def listeners(keys: Keys) -> int | None:
    """Return how many clients of the database wait for messages; None if its user may not ask."""
    here = int(keys.client.connection_pool.connection_kwargs.get("db") or 0)
    databases = waiting(clients(keys.client))
    return None if databases is None else databases.count(here)


def consumers(queues: Collection[str], readers: Readers, waiting: int | None) -> dict[str, int | None]:
    """Return how many workers take from each queue; None where it is not known.

    `waiting` is how many clients wait for messages, None if nobody knows. Both counts are needed: a worker that is busy does not
    wait, and one without remote control does not listen. If there may be more workers than have answered, they may take from any
    queue.
    """
    may_be_more = readers.silent != 0 or waiting is None or waiting > len(readers.queues)
    is_unknown = may_be_more or any(each is None for each in readers.queues)
    return {queue: readers.taken.count(queue) or (None if is_unknown else 0) for queue in queues}
