"""Where messages are in Redis or Valkey: with a worker that has taken them, or in a queue, counted from its front.

The server itself looks for them, in slices, so that no message goes over the network that nobody asked for, and no call
keeps the server from its other clients for long. A user that may not run scripts there gets the messages instead.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from tasktools.brokers.base import Broker, Trace
from tasktools.brokers.keys import MOST_SCANS, Keys, is_other_type
from tasktools.brokers.reach import reach
from tasktools.exceptions import TasktoolsError
from tasktools.queues.aside import aside_queues
from tasktools.queues.slices import Pace

#: How many messages of a list are read if not all of them are wanted: half of them are its newest, half its oldest.
MOST_READ = 100_000

#: The same if they have to come over the network.
MOST_FETCHED = 10_000

#: How many messages the server looks at in one call, and after how many bytes it ends such a call.
SLICE, BYTES = 1_000, 2_000_000

#: How long one call may take, in seconds, and how long all of them may, if not all messages are wanted.
LIMIT, BUDGET = 4.5, 3.0

# Look at ARGV[2] messages of KEYS[1] from index ARGV[1] on, at not many more than ARGV[3] bytes, for the ids after ARGV[4].
# Return the index that comes next, how long the list is, how many messages are in the other lists (of higher priority), how many
# bytes were looked at, the longest message, and of each message that was found its distance from the front of its own list and
# its text. The ids are as JSON writes them, up to a quotation mark. To find an index in the middle of a list takes long: so
# LRANGE is called a few times, each time for at most twice as many messages and at most ARGV[4], and for few after a long one.
_LOOK = """
local ids, result, size = {}, {0, redis.call('LLEN', KEYS[1]), 0, 0, 0}, 0
for each = 5, #ARGV do ids[ARGV[each]] = true end
local at, most, bytes = tonumber(ARGV[1]), tonumber(ARGV[1]) + tonumber(ARGV[2]), tonumber(ARGV[3])
local count, limit = 1, tonumber(ARGV[4])
while at < most and size < bytes do
  local some = redis.call('LRANGE', KEYS[1], at, math.min(at + count, most) - 1)
  if #some == 0 then break end
  local longest = 0
  for place, message in ipairs(some) do
    size, longest = size + #message, math.max(longest, #message)
    local from = 1
    while true do
      local _, stop = string.find(message, 'id":', from, true)
      if not stop then break end
      local _, _, id = string.find(message, '^ ?"([^"]*)"', stop + 1)
      if id and ids[id] then
        table.insert(result, result[2] - (at + place - 1))
        table.insert(result, message)
        break
      end
      from = stop + 1
    end
  end
  at = at + #some
  result[5] = math.max(result[5], longest)
  count = math.max(1, math.min(limit, 2 * count, math.floor(bytes / 2 / (longest + 1))))
end
result[1], result[4] = at, size
for each = 2, #KEYS do result[3] = result[3] + redis.call('LLEN', KEYS[each]) end
return result
"""


@dataclass
class Found:
    """Where messages are."""

    traces: dict[str, Trace] = field(default_factory=dict)
    #: By the name of the queue: how many of its messages were not read.
    unread: dict[str, int] = field(default_factory=dict)
    #: Whether its user may list the queues, and whether all keys were looked at: those that only a producer has made are missed.
    is_listed: bool = True
    is_complete: bool = True


def find(broker: Broker, task_ids: Collection[str], *, deep: bool = False, first: Collection[str] = ()) -> Found:
    """Return where the messages of these tasks are; a task without a message is left out. `deep` reads all messages.

    It reads the queues in `first`, those of the app and of any producer, and then what workers have taken: a message on its way
    from the one to the other is not missed. Raises Unreachable when the broker does not answer.
    """
    wanted, found = set(task_ids), Found()
    if not wanted:
        return found
    ask: Callable[..., Any] = lambda *call: reach(broker.name, LIMIT, *call)  # noqa: E731
    with contextlib.closing(ask(broker.publishing_connection, LIMIT)) as connection:
        search = _Search(Keys(connection.default_channel), wanted, found, ask, deep=deep)
        for queue in first:  # ahead of the names: with very many queues, time is up before the last of them
            search.look(queue)
        for queue in sorted({*broker.app.amqp.queues, *search.names()}.difference(first)):
            search.look(queue)
        search.look_into_reserved()
    return found


@dataclass
class _Search:
    keys: Keys
    wanted: set[str]
    found: Found
    ask: Callable[..., Any]
    deep: bool
    by_script: bool = True
    pace: Pace = field(init=False)
    began: float = field(default_factory=time.monotonic)

    def names(self) -> set[str]:
        """Return the names of the queues that producers have made, as far as the user may look: SCAN is often forbidden."""
        found, steps = set[str](), self.keys.bindings(None if self.deep else MOST_SCANS)
        try:
            while (some := self.ask(next, steps, None)) is not None:
                found.update(binding.queue for binding in some)
            self.found.is_complete = self.keys.saw_all_bindings
            found.update(self.ask(aside_queues, self.keys))
        except TasktoolsError as error:
            if not isinstance(error.__cause__, redis.exceptions.NoPermissionError):
                raise
            self.found.is_listed = False
        return found

    def look(self, queue: str) -> None:
        before: list[str] = []
        for key in self.keys.lists(queue):
            length = self.ask(self._length, key)
            if length is None:
                continue
            self.pace = Pace(keys=self.keys, key=key)
            half = max(1, self._most // 2)  # the first slice may change it, which says who may run scripts
            for first, stop in self._spans(length, half):
                self._note(queue, self._read(queue, [key, *before], first, stop, length))
            self._note(queue, 0 if self.deep else length - 2 * half)
            before.append(key)

    def _length(self, key: str) -> int | None:
        """Return how many messages are in a list; None if the key is another program's and holds something else."""
        try:
            return int(self.keys.client.llen(key))
        except redis.exceptions.ResponseError as error:
            if not is_other_type(error):
                raise
            return None

    def look_into_reserved(self) -> None:
        """Look for what is still missing among the messages that workers have taken."""
        missing = self.wanted - self.found.traces.keys()
        slices, read, name = self.keys.reserved_slices(), 0, self.keys.channel.unacked_key
        while not self._is_done():
            if not self.deep and read >= MOST_FETCHED:
                self._note(name, int(self.ask(self.keys.client.hlen, self.keys.full(name))) - read)
                return
            messages = self.ask(next, slices, None)
            if messages is None:
                return
            read += len(messages)
            for message in messages:
                self.found.traces |= _traces(message, missing, place="reserved")

    def _note(self, queue: str, unread: int) -> None:
        if unread > 0:
            self.found.unread[queue] = self.found.unread.get(queue, 0) + unread

    @property
    def _most(self) -> int:
        return MOST_READ if self.by_script else MOST_FETCHED

    def _spans(self, length: int, half: int) -> Iterator[tuple[int, int | None]]:
        """Yield what is to be read: the newest messages, the oldest, then the rest.

        Each is read towards the front, where messages leave: one that moves while it is read is never passed over.
        """
        if length <= 2 * half:
            yield from [(0, None)] if length else []
            return
        yield 0, half
        yield length - half, None
        if self.deep:
            yield half, None

    def _read(self, queue: str, lists: Sequence[str], first: int, stop: int | None, length: int) -> int:
        """Read from one index to another, or to the end; return how many were left unread because time was up."""
        at = first
        while at < (length if stop is None else min(stop, length)) and not self._is_done():
            if not self.deep and time.monotonic() - self.began > BUDGET:
                return (length if stop is None else stop) - at
            count = SLICE if stop is None else min(SLICE, stop - at)
            upto, length, ahead, matches = self._slice(lists, at, count)
            for distance, message in matches:
                traces = _traces(message, self.wanted, place="queued", queue=queue, position=ahead + distance)
                self.found.traces = traces | self.found.traces
            if upto == at:
                break
            at = upto
        return 0

    def _is_done(self) -> bool:
        return self.wanted <= self.found.traces.keys()

    def _slice(self, lists: Sequence[str], at: int, count: int) -> tuple[int, int, int, Iterable[tuple[int, bytes]]]:
        """Return the next index, the length of the first list, that of the others together, and what was found."""
        if self.by_script:
            ids = {json.dumps(each)[1:].partition('"')[0] for each in self.wanted}
            try:
                limit = self.ask(lambda: self.pace.limit)
                answer = self.ask(self.keys.client.eval, _LOOK, len(lists), *lists, at, count, BYTES, limit, *ids)
            except Exception as error:
                if not isinstance(error.__cause__, redis.exceptions.ResponseError):
                    raise
                self.by_script = False  # this user may not run scripts
            else:
                upto, length, ahead, size, longest, *matches = answer
                self.pace.saw(upto - at, size, longest)
                return upto, length, ahead, zip(matches[::2], matches[1::2], strict=True)
        return self.ask(self._fetch, lists, at, count)  # type: ignore[no-any-return]

    def _fetch(self, lists: Sequence[str], at: int, count: int) -> tuple[int, int, int, list[tuple[int, bytes]]]:
        client = self.keys.client
        messages = client.lrange(lists[0], at, at + min(count, self.pace.count) - 1)
        self.pace.saw_all(messages)
        length, *others = [int(client.llen(each)) for each in lists]
        return at + len(messages), length, sum(others), [(length - at - n, each) for n, each in enumerate(messages)]


def _traces(message: bytes, task_ids: Collection[str], **place: Any) -> dict[str, Trace]:
    """Return the trace of the one task of `task_ids` whose message this is, by its id; nothing if it is of another task.

    A message is kombu's JSON: the id of its task is its header "id" (Celery's protocol 2) or its correlation_id.
    """
    if len(task_ids) < 8 and not any(json.dumps(task_id).encode() in message for task_id in task_ids):
        return {}  # JSON takes long to read
    try:
        parsed = json.loads(message)
        content = parsed[0] if isinstance(parsed, list) else parsed  # a reserved one: [message, exchange, routing key]
        headers = content["headers"]
        found = Trace(task=headers.get("task"), eta=headers.get("eta"), **place)
        ids = {headers.get("id"), content["properties"].get("correlation_id")}
        return {task_id: found for task_id in ids if task_id in task_ids}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # another program's message in the same queue
