"""How many messages a second come into a queue of Redis and leave it, without a counter on the server.

A message of each list is remembered. Where it stands a little later says how many came after it, and with the two lengths how
many were taken. Before workers come near it, a newer one is remembered in its place. If it has been taken meanwhile, nobody
knows how many came and went.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import redis

from tasktools.brokers.keys import Keys

#: So many messages are looked at for the one that is remembered.
MOST_ADDED = 20_000

#: A longer message is not remembered, for it is sent to the server, in bytes.
_LONGEST = 100_000

#: After so many newer ones, or if half of the list is newer, a newer message is remembered.
_MOST_NEWER = 1_000

#: Where the server counts the calls of the command that adds messages to a queue.
_PUSH = "cmdstat_lpush"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A list at one time."""

    length: int
    #: A message of it; None if it is empty, or its newest is too long.
    message: bytes | None = None
    #: How many were newer than that message.
    newer: int = 0
    is_too_long: bool = False

    @property
    def is_stale(self) -> bool:
        """Whether the newest message should be remembered: none is, or workers will soon take the one that is."""
        if self.message is None:
            return self.length > 0 and not self.is_too_long
        return self.newer > _MOST_NEWER or 0 < self.newer >= self.length / 2


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server says of a list; `newest` only if it was asked for."""

    length: int
    place: int | None
    newest: bytes | None = None


@dataclass(kw_only=True)
class Flow:
    """What has come into a queue and left it; None as soon as it is not known."""

    added: int | None = 0
    taken: int | None = 0


@dataclass(kw_only=True)
class Sampler:
    """Call `sample` every now and then: the more often, the less gets lost."""

    keys: Keys
    queues: Collection[str]
    flows: dict[str, Flow] = field(default_factory=dict)
    _marks: dict[str, Mark] = field(default_factory=dict)
    _pushes: int | None = None
    _may_ask: bool | None = None

    @property
    def open(self) -> list[str]:
        """The queues of which it is still known how many messages came and went."""
        return [queue for queue in self.queues if self.flows.get(queue, Flow()).added is not None]

    def sample(self) -> None:
        """Look at the lists of these queues in one round trip; in another one, fetch messages to remember if that is needed."""
        lists = {key: queue for queue in self.open for key in self.keys.lists(queue)}
        if lists and self._marks:
            self._look(lists, ())
        wanted = [key for key in lists if key not in self._marks or self._marks[key].is_stale]
        if wanted:
            self._look(lists, wanted)

    def _look(self, lists: Mapping[str, str], wanted: Collection[str]) -> None:
        """Look at all lists at one moment of the server. The newest message of those in `wanted` comes over the network."""
        can_ask = self._can_ask_pushes()
        with self.keys.client.pipeline(transaction=True) as pipeline:
            for key in lists:
                pipeline.llen(key)
                pipeline.lpos(key, self._message(key) or b"", maxlen=MOST_ADDED)
                if key in wanted:
                    pipeline.lindex(key, 0)
            if can_ask:
                pipeline.info("commandstats")
            answers = pipeline.execute()
        pushes = answers.pop().get(_PUSH, {}).get("calls", 0) if can_ask else None
        told = iter(answers)
        rows = {
            key: Answer(length=next(told), place=next(told), newest=next(told) if key in wanted else None)
            for key in lists
        }
        added = self._added(rows, pushes)
        for key, number in added.items():
            self._flow(lists[key], rows[key].length, self._marks[key].length, number)
        self._pushes = pushes
        self._marks = {key: self._mark(key, row, is_asked=key in wanted) for key, row in rows.items()}

    def _message(self, key: str) -> bytes | None:
        return self._marks[key].message if key in self._marks else None

    def _added(self, rows: Mapping[str, Answer], pushes: int | None) -> dict[str, int | None]:
        """Return how many messages were added to each list since the last look, None where it is not known.

        In a list that was empty there is no message to remember. It got none if all that the server has put into lists since
        went to the other ones.
        """
        found: dict[str, int | None] = {}
        for key, row in rows.items():
            if key in self._marks:
                is_found = self._message(key) is not None and row.place is not None
                found[key] = (row.place or 0) - self._marks[key].newer if is_found else None
        seen = sum(added for added in found.values() if added is not None)
        if pushes is None or self._pushes is None or pushes - self._pushes != seen:
            return found
        return {key: added or 0 for key, added in found.items()}

    def _mark(self, key: str, row: Answer, *, is_asked: bool) -> Mark:
        """Return what is remembered of a list from now on."""
        before = self._marks.get(key, Mark(length=0))
        if is_asked:
            is_too_long = row.newest is not None and len(row.newest) > _LONGEST
            return Mark(length=row.length, message=None if is_too_long else row.newest, is_too_long=is_too_long)
        if before.message is not None and row.place is not None:
            return Mark(length=row.length, message=before.message, newer=row.place)
        return Mark(length=row.length, is_too_long=before.is_too_long and row.length > 0)

    def _flow(self, queue: str, length: int, before: int, added: int | None) -> None:
        flow = self.flows.setdefault(queue, Flow())
        if flow.added is None or flow.taken is None or added is None:
            flow.added = flow.taken = None
        else:
            flow.added += added
            flow.taken += before + added - length

    def _can_ask_pushes(self) -> bool:
        """Whether the user of the broker may ask how often something was put into a list."""
        if self._may_ask is None:
            try:
                self._may_ask = isinstance(self.keys.client.info("commandstats"), dict)
            except redis.exceptions.ResponseError:
                self._may_ask = False
        return self._may_ask
