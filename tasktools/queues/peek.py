"""The next messages of a queue of Redis, which stay where they are."""

from __future__ import annotations

from tasktools.brokers.keys import Keys
from tasktools.queues.messages import Message, read
from tasktools.queues.slices import slices


def peek(keys: Keys, queue: str, count: int) -> list[Message]:
    """Return the messages that workers get next, the first one first.

    A worker asks for all lists of its queues at once, and Redis takes from the first that is not empty: the lists stand in the
    order of the priorities. Messages are added at the left end and taken from the right.
    """
    found: list[Message] = []
    for key in keys.lists(queue):
        for messages in slices(keys, key, min(count - len(found), int(keys.client.llen(key)))):
            found += map(read, reversed(messages))
    return found
