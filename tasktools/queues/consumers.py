"""How many workers take from each queue, from what they say and from what the broker knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tasktools.brokers.keys import Keys
from tasktools.brokers.listeners import clients, waiting


def listeners(keys: Keys) -> int | None:
    """Return how many clients of the database wait for messages; None if its user may not ask."""
    here = int(keys.client.connection_pool.connection_kwargs.get("db") or 0)
    databases = waiting(clients(keys.client))
    return None if databases is None else databases.count(here)


def consumers(
    queues: Collection[str], answers: Mapping[str, Collection[str] | None], waiting: int | None
) -> dict[str, int | None]:
    """Return how many workers take from each queue; None where it is not known.

    `answers` has the queues of each worker that has answered, None for one that has not said them. `waiting` is how many clients
    wait for messages, None if nobody knows. If these are more than the workers that have answered, others may take from any
    queue.
    """
    has_silent = waiting is None or waiting > len(answers) or any(each is None for each in answers.values())
    taken = [queue for each in answers.values() for queue in each or ()]
    return {queue: taken.count(queue) or (None if has_silent else 0) for queue in queues}
