"""What beats have sent: a reader that looks at the queue all the time, over a connection of its own.

It moves each message to another list, in one step of the server, and never forgets one: also if the server is killed before
it has answered, the message is in one of the two lists.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import redis

from benchmarks.common import await_

QUEUE = "celery"
TAKEN = "benchmark:taken"

#: Messages that are read at once at the end.
PAGE = 5000


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message of the queue."""

    #: The name of the entry.
    entry: str
    #: When the sender made it, by its clock (Unix time).
    made: float
    #: The process that made it.
    pid: int
    #: The tag that kombu gives to each publish.
    tag: str
    #: When it was read; None if the reader was away then.
    arrived: float | None = None


def decode(raw: bytes, arrived: float | None = None) -> Message:
    """Read a message of kombu, protocol 2 of Celery."""
    read: dict[str, Any] = json.loads(raw)
    kwargs = json.loads(base64.b64decode(read["body"]))[1]
    told = {**read["headers"], **kwargs}
    return Message(
        entry=kwargs["entry"],
        made=told["made"],
        pid=told["pid"],
        tag=read["properties"]["delivery_tag"],
        arrived=arrived,
    )


class Reader:
    """The thread that reads."""

    def __init__(self, connect: Callable[[float | None], redis.Redis]) -> None:
        """`connect` returns a client, whose limit for an answer it is handed."""
        self.connect = connect
        self.seen: list[Message] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(redis.RedisError, OSError), self.connect(60.0) as client:
                while not self._ends.is_set():
                    raw = client.blmove(QUEUE, TAKEN, 0.5, "RIGHT", "LEFT")
                    if raw is not None:
                        self.seen.append(decode(raw, time.time()))
            time.sleep(0.01)

    @property
    def latest(self) -> Message | None:
        return self.seen[-1] if self.seen else None

    def since(self, moment: float) -> list[Message]:
        """Return the messages that were made at or after a moment, as they came."""
        return [each for each in list(self.seen) if each.made >= moment]

    def end(self) -> None:
        self._ends.set()
        self._thread.join(5.0)

    def everything(self) -> list[Message]:
        """End the reader, and return every message that was ever in the queue, in its order."""
        self.end()
        arrived = {each.tag: each.arrived for each in self.seen}
        client = self.connect(30.0)
        await_(lambda: self._all_taken(client), "the rest of the queue")
        found = []
        for at in range(0, client.llen(TAKEN), PAGE):
            found += [decode(raw) for raw in client.lrange(TAKEN, at, at + PAGE - 1)]
        found.reverse()
        return [
            Message(entry=each.entry, made=each.made, pid=each.pid, tag=each.tag, arrived=arrived.get(each.tag))
            for each in found
        ]

    @staticmethod
    def _all_taken(client: redis.Redis) -> bool:
        while client.lmove(QUEUE, TAKEN, "RIGHT", "LEFT") is not None:
            pass
        return True


@contextlib.contextmanager
def reader(connect: Callable[[float | None], redis.Redis]) -> Iterator[Reader]:
    """Read for as long as the context lasts."""
    made = Reader(connect)
    try:
        yield made
    finally:
        made.end()
