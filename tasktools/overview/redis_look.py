"""All that is seen of a Redis or Valkey besides the workers' answers: one command, which a script of the server answers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import redis

from tasktools.beat.records import key_of, lease_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.lease import Holder
from tasktools.brokers.reach import is_forbidden
from tasktools.brokers.redis_lease import holder
from tasktools.health import minutes
from tasktools.queues.pauses import KEY as PAUSED

if TYPE_CHECKING:
    from celery import Celery

#: Bytes of the end of a message that tell when it was sent: a whole one may be long.
_END = 2_000

#: Of how many queues the front message is read: the server copies a whole one for that.
MOST_FRONTS = 300

#: KEYS: what is paused, two hours, beat's hash and lease, the index of what is taken; then the lists of the queues.
#: ARGV: how much of a message to return, and of how many lists. A key that holds something else is false.
_LOOK = """
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then return false end
  return answer
end
local function of_beat(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then return string.find(answer.err, 'WRONGTYPE') and 0 or false end
  return answer
end
local found = {try('HGETALL', KEYS[1]), try('HGETALL', KEYS[2]), try('HGETALL', KEYS[3]),
  of_beat('HGETALL', KEYS[4]), of_beat('GET', KEYS[5]), try('ZCARD', KEYS[6])}
local lists = {}
for place = 7, #KEYS do
  local length, front = try('LLEN', KEYS[place]), false
  if length and length > 0 and place < 7 + tonumber(ARGV[2]) then front = try('LINDEX', KEYS[place], -1) end
  if front then front = string.sub(front, -tonumber(ARGV[1])) end
  lists[#lists + 1] = {length, front}
end
found[#found + 1] = lists
return found
"""

#: What stands for a key of beat that holds another type.
_FOREIGN = 0

#: How the answers begin of a server that runs scripts and does not run one now.
_NOT_NOW = ("OOM", "LOADING", "BUSY", "MASTERDOWN")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the server has answered."""

    paused: Mapping[bytes, bytes]
    hours: Sequence[Mapping[bytes, bytes]]
    runs: Mapping[bytes, bytes]
    lease: Holder | None
    #: Whether the key of the runs or of the lease holds another type.
    is_foreign: bool
    unacked: int | None
    #: By queue, of each of its lists that is not empty: its length, and the end of its front message (empty if it was not read).
    fronts: Mapping[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    #: The queues with a key that holds something else.
    other_type: frozenset[str] = frozenset()


@dataclass
class Scripts:
    """Whether the server runs scripts for this user, as far as is known."""

    are_refused: bool = False

    def run(self, keys: Keys, script: str, names: Sequence[str], *values: int) -> Any:
        """Return the answer; None if it must be done without a script."""
        if self.are_refused:
            return None
        try:
            return keys.client.eval(script, len(names), *names, *values)
        except redis.exceptions.ResponseError as error:
            if str(error).startswith(_NOT_NOW) or isinstance(error, redis.exceptions.OutOfMemoryError):
                raise
            self.are_refused = is_forbidden(error) or "unknown command" in str(error).lower()
            return None


def look(app: Celery, keys: Keys, queues: Sequence[str], now: float, scripts: Scripts | None = None) -> Seen:
    """Look at what is kept, and at these queues. Where no script can be used, it needs more commands for the same.

    Only of the first MOST_FRONTS queues, the front message is read.
    """
    fixed = [
        *map(keys.full, (PAUSED, *minutes.keys_of(now, minutes.hashes_of(app)), key_of(app), lease_of(app))),
        keys.full(keys.channel.unacked_index_key),
    ]
    lists = [(queue, key) for queue in queues for key in keys.lists(queue)]
    names = [*fixed, *(key for _, key in lists)]
    shown = {*queues[:MOST_FRONTS]}
    fronted = sum(queue in shown for queue, _ in lists)
    answer = (scripts or Scripts()).run(keys, _LOOK, names, _END, fronted)
    if answer is None:
        answer = _plainly(keys, fixed, [key for _, key in lists], fronted)
    paused, before, this, runs, lease, unacked, found = answer
    fronts: dict[str, list[tuple[int, bytes]]] = {queue: [] for queue in queues}
    odd = set()
    for (queue, _), (length, front) in zip(lists, found, strict=True):
        if length is None:
            odd.add(queue)
        elif length:
            fronts[queue].append((int(length), front or b""))
    return Seen(
        paused=_pairs(paused),
        hours=(_pairs(before), _pairs(this)),
        runs=_pairs(runs),
        lease=holder(lease, 0) if isinstance(lease, bytes) else None,
        is_foreign=_FOREIGN in (runs, lease),
        unacked=None if unacked is None else int(unacked),
        fronts=fronts,
        other_type=frozenset(odd),
    )


def _plainly(keys: Keys, fixed: Sequence[str], lists: Sequence[str], fronted: int) -> list[Any]:
    with keys.client.pipeline(transaction=False) as pipeline:
        for key in fixed[:4]:
            pipeline.hgetall(key)
        pipeline.get(fixed[4]).zcard(fixed[5])
        for key in lists:
            pipeline.llen(key)
        for key in lists[:fronted]:
            pipeline.lindex(key, -1)
        answers = [*map(_plain_answer, itertools.count(), pipeline.execute(raise_on_error=False))]
    lengths, ends = answers[6 : 6 + len(lists)], answers[6 + len(lists) :]
    cut = [None if each is None else each[-_END:] for each in ends] + [None] * (len(lists) - fronted)
    return [*answers[:6], list(zip(lengths, cut, strict=True))]


def _plain_answer(place: int, answer: Any) -> Any:
    """Return an answer as the script gives it: what beat has left is at the places 3 and 4."""
    if not isinstance(answer, Exception):
        return answer
    return _FOREIGN if place in (3, 4) and "WRONGTYPE" in str(answer) else None


def _pairs(flat: Any) -> Mapping[bytes, bytes]:
    """Return a hash: a script returns its names and values one after the other."""
    if isinstance(flat, list):
        return dict(zip(flat[::2], flat[1::2], strict=True))
    return flat if isinstance(flat, Mapping) else {}
