"""How a command is written to Redis or Valkey: as one piece.

redis-py sends a long command in pieces of 6 kB, each by a system call of its own, and copies a piece for each value in it.
That takes longer than anything else that a batch of messages does on its way.
"""

from __future__ import annotations

import inspect
from typing import Any

from redis.connection import AbstractConnection


class Packer:
    """What redis-py calls a command packer (an argument of its connections)."""

    def __init__(self, encode: Any) -> None:
        self._encode = encode

    def pack(self, *words: Any) -> list[bytes]:
        """Return the command as the server reads it (RESP). The first word may be several: CONFIG GET."""
        first, *rest = words
        values = [*(first.encode() if isinstance(first, str) else first).split(), *map(self._encode, rest)]
        pieces = [b"*%d\r\n" % len(values)]
        for value in values:
            pieces += (b"$%d\r\n" % len(value), value, b"\r\n")
        return [b"".join(pieces)]


def pack_whole(pool: Any) -> None:
    """Have the connections of a pool (redis.ConnectionPool) send each command as one piece. Its idle ones are closed."""
    if "command_packer" in inspect.signature(AbstractConnection.__init__).parameters:
        pool.connection_kwargs["command_packer"] = Packer(pool.get_encoder().encode)
        pool.disconnect()
        pool.reset()
