"""The queues of a Redis or Valkey that any producer or worker has made, found bit by bit among very many keys."""

from __future__ import annotations

import re

import redis

from tasktools.brokers.keys import Keys
from tasktools.control.replies import ENDING, KEPT

#: How many scans of about 1,000 keys one look makes, in one command.
_SCANS = 20

#: How many bindings of an exchange are read.
_MOST_BOUND = 5_000

#: The characters with a special meaning in a pattern of SCAN.
_SPECIAL = re.compile(r"([*?\[\]\\^-])")

#: ARGV: the cursor, how many scans, the pattern of the sets of bindings, how many of their members, the pattern of the lists of
#: replies, how long these are kept. Returns the cursor and the members of the sets.
#: The queues of remote control and of events are left out: there may be one for each process that has asked something.
_STEP = """
local cursor, found = ARGV[1], {}
for _ = 1, tonumber(ARGV[2]) do
  for _, key in ipairs(redis.call('SCAN', cursor, 'MATCH', ARGV[5], 'COUNT', 1000)[2]) do
    if redis.call('TTL', key) == -1 then redis.pcall('EXPIRE', key, ARGV[6]) end
  end
  local step = redis.call('SCAN', cursor, 'MATCH', ARGV[3], 'COUNT', 1000)
  cursor = step[1]
  for _, key in ipairs(step[2]) do
    if string.sub(key, -7) ~= '.pidbox' and string.sub(key, -8) ~= 'celeryev' then
      local members = redis.pcall('SRANDMEMBER', key, ARGV[4])
      if not members.err then found[#found + 1] = members end
    end
  end
  if cursor == '0' then break end
end
return {cursor, found}
"""


class Bound:
    """Goes through the keys, a part of them at each step, and begins again at the end."""

    def __init__(self) -> None:
        self._cursor = "0"
        #: Those of this round.
        self._round: set[str] = set()
        #: What is known.
        self.queues: frozenset[str] = frozenset()

    def step(self, keys: Keys) -> None:
        """Look at more keys. Replies that nobody takes get an end: a worker that was busy may answer after hours."""
        from tasktools.queues.found import is_internal

        tables = _plain(keys.full(keys.channel.keyprefix_queue % "")) + "*"
        replies = _plain(keys.prefix) + "*" + ENDING
        try:
            cursor, found = keys.client.eval(_STEP, 0, self._cursor, _SCANS, tables, _MOST_BOUND, replies, KEPT)
        except redis.exceptions.ResponseError:  # its user may not do that
            return
        members = (each.decode(errors="replace") for some in found for each in some)
        queues = {each.split(keys.channel.sep)[-1] for each in members}
        self._round |= {each for each in queues if not is_internal(each)}
        self._cursor = cursor.decode() if isinstance(cursor, bytes) else str(cursor)
        if self._cursor == "0":
            self.queues, self._round = frozenset(self._round), set()
        else:
            self.queues |= self._round


def _plain(text: str) -> str:
    """Return the pattern of a text itself."""
    return _SPECIAL.sub(r"\\\1", text)
