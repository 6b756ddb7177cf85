"""Messages that go back to their queue, and those of paused tasks, which wait aside: on Redis and Valkey.

A message that is put aside is in a list of its own for its queue and its task, in their order, and a set names these lists.
Each step is one command of the server. So a process that is killed loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import redis

from tasktools.brokers.keys import Keys
from tasktools.celery_compat import PRIORITY_LIST

#: A queue and a task.
Place = tuple[str, str]

#: How the name of a queue begins that holds what is put aside.
PREFIX = "tasktools.paused:"

#: The set of what is put aside; a member is JSON: [queue, task].
KEY = "tasktools:put-aside"

#: How many messages a worker moves in one step, and how many come back in one step: these keep their order among themselves.
_AT_ONCE, _BACK_AT_ONCE = 500, 100_000

#: KEYS: kombu's hash and sorted set of taken messages, and KEY. ARGV: RPUSH or LPUSH, and for each message its tag, its list,
#: itself, and the member of KEY or "". A message that another worker has got meanwhile stays with that one.
_MOVE = """
for place = 2, #ARGV, 4 do
  if redis.call('HDEL', KEYS[1], ARGV[place]) == 1 then
    redis.call('ZREM', KEYS[2], ARGV[place])
    redis.call(ARGV[1], ARGV[place + 1], ARGV[place + 2])
    if ARGV[place + 3] ~= '' then redis.call('SADD', KEYS[3], ARGV[place + 3]) end
  end
end
"""

#: KEYS: KEY, and for each priority the list aside and that of the queue. ARGV: the member of KEY, and how many to move at the
#: most. The newest one is moved first, so that the oldest one is the next one then. If fewer wait in the queue, they are moved,
#: the oldest one first, after those aside, whose list becomes that of the queue: the server does nothing else meanwhile.
_BRING_BACK = """
local back, left = 0, tonumber(ARGV[2])
for place = 2, #KEYS, 2 do
  local from, to = KEYS[place], KEYS[place + 1]
  local count, newer = redis.call('LLEN', from), redis.call('LLEN', to)
  if count > newer and left > newer then
    for _ = 1, newer do redis.call('LPUSH', from, redis.call('RPOP', to)) end
    redis.call('RENAME', from, to)
    back, left = back + count, left - newer
  else
    local some = math.min(count, left)
    for _ = 1, some do redis.call('RPUSH', to, redis.call('LPOP', from)) end
    back, left = back + some, left - some
  end
end
if left > 0 then redis.call('SREM', KEYS[1], ARGV[1]) end
return {back, left}
"""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A message that a worker has taken and not acknowledged."""

    tag: str
    #: As kombu writes it.
    raw: str
    queue: str
    #: 0 to 9.
    priority: int = 0


def aside_name(queue: str, task: str) -> str:
    """Return the name of the queue in which the messages of a paused task wait that came from `queue`."""
    return f"{PREFIX}{queue}:{task}"


def give_back(keys: Keys, messages: Sequence[Taken]) -> None:
    """Put messages back to the front of their queues; the first one is the next one then."""
    words = [(each.tag, _list(keys, each.queue, each.priority), each.raw, "") for each in reversed(messages)]
    _move(keys, "RPUSH", words)


def put_aside(keys: Keys, messages: Sequence[tuple[Taken, str]]) -> None:
    """Put messages aside, each with its task, after those that are there."""
    words = [
        (
            each.tag,
            _list(keys, aside_name(each.queue, task), each.priority),
            each.raw,
            json.dumps([each.queue, task]),
        )
        for each, task in messages
    ]
    _move(keys, "LPUSH", words)


def _move(keys: Keys, push: str, words: Sequence[tuple[str, str, str, str]]) -> None:
    taken = [keys.full(keys.channel.unacked_key), keys.full(keys.channel.unacked_index_key), keys.full(KEY)]
    for start in range(0, len(words), _AT_ONCE):
        some = words[start : start + _AT_ONCE]
        try:
            keys.client.eval(_MOVE, 3, *taken, push, *(word for each in some for word in each))
        except redis.exceptions.NoPermissionError:  # its user may not use scripts
            _move_plainly(keys, taken, push, some)


def _move_plainly(keys: Keys, taken: Sequence[str], push: str, words: Sequence[tuple[str, str, str, str]]) -> None:
    held = keys.client.hmget(taken[0], [tag for tag, *_ in words])
    left = [each for each, is_held in zip(words, held, strict=True) if is_held is not None]
    with keys.client.pipeline(transaction=True) as pipeline:
        for tag, key, raw, member in left:
            pipeline.hdel(taken[0], tag)
            pipeline.zrem(taken[1], tag)
            pipeline.execute_command(push, key, raw)
            if member:
                pipeline.sadd(taken[2], member)
        pipeline.execute()


def bring_back(keys: Keys, chosen: Collection[Place]) -> int:
    """Put what is aside of these queues and tasks back to the front of its queues; return how many.

    The order is kept if no worker takes from the queue, or if its only worker calls this when it holds none of their messages:
    what a worker holds is newer than what is aside.
    """
    moved, key = 0, keys.full(KEY)
    for member in keys.client.smembers(key) if chosen else ():
        place = queue, task = _member(member)
        if queue is None or place not in chosen:
            continue
        lists = zip(keys.lists(aside_name(queue, task)), keys.lists(queue), strict=True)
        names = [name for pair in lists for name in pair]
        left = 0
        while left == 0:
            back, left = keys.client.eval(_BRING_BACK, 1 + len(names), key, *names, member, _BACK_AT_ONCE)
            moved += back
    return moved


def places(keys: Keys) -> frozenset[Place]:
    """Return of which queues and tasks messages are aside."""
    members = map(_member, keys.client.smembers(keys.full(KEY)))
    return frozenset((queue, task) for queue, task in members if queue is not None)


def aside_queues(keys: Keys) -> list[str]:
    """Return the queues in which messages of paused tasks wait."""
    try:
        return sorted(aside_name(*each) for each in places(keys))
    except redis.exceptions.ResponseError:  # the key is another program's, or its user may not do that
        return []


def may_use_scripts(keys: Keys) -> bool:
    """Whether the user of the broker may do all of this."""
    try:
        keys.client.eval("return 1", 0)
    except redis.exceptions.NoPermissionError:
        return False
    return True


def _member(member: bytes) -> tuple[str | None, str]:
    try:
        queue, task = json.loads(member)
    except (ValueError, TypeError):  # somebody else has written it
        return None, ""
    return str(queue), str(task)


def _list(keys: Keys, queue: str, priority: int) -> str:
    return keys.full(PRIORITY_LIST.of(keys.channel)(queue, priority))
