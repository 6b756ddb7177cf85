"""How many messages a second come into a queue of Redis and leave it, without a counter on the server.

The newest message of each list is remembered. Where it stands a little later says how many came after it, and with the two
lengths how many were taken. If it has been taken meanwhile, nobody knows how many came and went.
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

#: Where the server counts the calls of the command that adds messages to a queue.
_PUSH = "cmdstat_lpush"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A list at one time."""

    length: int
    newest: bytes | None


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

    def sample(self) -> None:
        """Look at all lists in one round trip, at one moment of the server."""
        lists = {key: queue for queue in self.queues for key in self.keys.lists(queue)}
        can_ask = self._can_ask_pushes()
        with self.keys.client.pipeline(transaction=True) as pipeline:
            for key in lists:
                before = self._marks.get(key)
                pipeline.llen(key).lindex(key, 0)
                pipeline.lpos(key, before.newest if before and before.newest else b"", maxlen=MOST_ADDED)
            if can_ask:
                pipeline.info("commandstats")
            answers = pipeline.execute()
        pushes = answers.pop().get(_PUSH, {}).get("calls", 0) if can_ask else None
        rows = {key: (answers[3 * place], answers[3 * place + 2]) for place, key in enumerate(lists)}
        for key, added in self._added(rows, pushes).items():
            self._flow(lists[key], rows[key][0], self._marks[key].length, added)
        self._pushes = pushes
        self._marks = {key: _mark(*answers[3 * place : 3 * place + 2]) for place, key in enumerate(lists)}

    def _added(self, rows: Mapping[str, tuple[int, int | None]], pushes: int | None) -> dict[str, int | None]:
        """Return how many messages were added to each list since the last look, None where it is not known.

        In a list that was empty there is no message to remember. It got none if all that the server has put into lists since
        went to the other ones.
        """
        found = {key: at if self._marks[key].newest else None for key, (_, at) in rows.items() if key in self._marks}
        seen = sum(added for added in found.values() if added is not None)
        if pushes is None or self._pushes is None or pushes - self._pushes != seen:
            return found
        return {key: added or 0 for key, added in found.items()}

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


def _mark(length: int, newest: bytes | None) -> Mark:
    return Mark(length=length, newest=newest if newest and len(newest) <= _LONGEST else None)
