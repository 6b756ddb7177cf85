"""A step of a purge as a script of Redis: it succeeds however quickly others change the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import redis

#: KEYS: a list. ARGV: the first place, how many places are looked at, 1 or -1 for the end that is nearer, the mark, and the
#: messages to remove. Overwrites these by the mark and removes all marks. Returns how many, and how many of ARGV it has found.
_REMOVE = """
local first, chosen, marked, found = tonumber(ARGV[1]), {}, 0, 0
for place = 5, #ARGV do chosen[ARGV[place]] = 1 end
for place, raw in ipairs(redis.call('LRANGE', KEYS[1], first, first + ARGV[2] - 1)) do
  if chosen[raw] then
    found, chosen[raw] = found + chosen[raw], 0
    redis.call('LSET', KEYS[1], first + place - 1, ARGV[4])
    marked = marked + 1
  end
end
if marked > 0 then redis.call('LREM', KEYS[1], ARGV[3] * marked, ARGV[4]) end
return {marked, found}
"""


class ScriptsRefused(Exception):
    """The server runs no scripts for this user."""


def remove(client: Any, key: str, first: int, most: int, direction: int, chosen: Sequence[bytes]) -> tuple[int, bool]:
    """Remove these messages from `most` places of a list; return how many, and whether each of them was there.

    Raises ScriptsRefused, and what redis-py raises; OutOfMemoryError if the server is full, before anything is changed.
    """
    wanted = frozenset(chosen)
    try:
        marked, found = client.eval(_REMOVE, 1, key, first, most, direction, f"removed {uuid4()}", *wanted)
    except redis.exceptions.NoPermissionError as error:
        raise ScriptsRefused from error
    except redis.exceptions.ResponseError as error:
        if "OOM command" in str(error):  # Redis 6 puts other words before it
            raise redis.exceptions.OutOfMemoryError(str(error)) from None
        if "unknown command" in str(error).lower():  # renamed, as some providers do
            raise ScriptsRefused from error
        raise
    return int(marked), int(found) == len(wanted)
