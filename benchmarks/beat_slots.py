"""Which slot of which entry was sent how often: what was sent twice, what is missing, and how long nobody was in charge.

The name of an entry begins with its period: "1s-004", "60s-001". A slot is a period of whole seconds since 1970, and a
message belongs to the slot in which its sender made it: a server that is paused delays messages, which changes nothing then.
A sender notes the last run just before or after it makes the message. So if one process has made two messages in a slot, and one
of them is within EDGE of a neighbour without any, it belongs to that one. What two processes have made is never explained away.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import floor

from benchmarks.beat_messages import Message

#: How long sending what is due in one second may take, in seconds: a beat fails in the middle of it, or takes over with it.
SLACK = 1.0

#: Longer than this, in seconds, no message comes only if a beat has failed, perhaps in the middle of a second's entries.
SILENCE = 1.3

#: How far a message may be from the slot for which it was sent, in seconds, where senders are late.
EDGE = 0.05

#: A message that needs longer than this to the queue is late, in seconds.
LATE = 1.0


def period_of(entry: str) -> int:
    """Return the period of an entry in seconds."""
    return int(entry.partition("s-")[0])


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One period of one entry."""

    entry: str
    #: Its beginning (Unix time).
    begin: int

    @property
    def end(self) -> int:
        return self.begin + period_of(self.entry)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A time without any message of the entries that are due every second: a whole slot, or longer than SILENCE."""

    #: When the last message before and the first one after it were made.
    begin: float
    end: float
    #: When the server was back, if it was away during the gap.
    back: float | None = None

    @property
    def seconds(self) -> float:
        """How late the first slot of the gap was sent: at its end, in place of at its own beginning."""
        return self.end - (floor(self.begin) + 1)

    @property
    def after(self) -> float:
        """The seconds from the server's return to the next message."""
        return max(0.0, self.end - (self.back or 0.0))


@dataclass(kw_only=True)
class Table:
    """What became of every slot."""

    sent: int
    slots: int
    #: Each with its messages, at least two.
    twice: dict[Slot, list[Message]] = field(default_factory=dict)
    missing: list[Slot] = field(default_factory=list)
    #: Those of the missing ones that no gap explains.
    unexplained: list[Slot] = field(default_factory=list)
    #: For each of these the last message of its entry before it, and the first one after it.
    around: dict[Slot, list[Message]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    #: Messages that came long after they were made, although the server was there: of a beat that had been stopped meanwhile.
    late: list[Message] = field(default_factory=list)

    @property
    def failovers(self) -> list[float]:
        """The lengths of the gaps during which the server was there, in seconds."""
        return sorted(gap.seconds for gap in self.gaps if gap.back is None)

    @property
    def returns(self) -> list[float]:
        """The seconds from each return of the server to the next message."""
        return sorted(gap.after for gap in self.gaps if gap.back is not None)

    @property
    def too_many(self) -> int:
        return sum(len(each) - 1 for each in self.twice.values())


def tabulate(
    messages: Sequence[Message],
    entries: Iterable[str],
    begin: int,
    end: int,
    away: Sequence[tuple[float, float]],
    optional: Iterable[str] = (),
) -> Table:
    """Return what became of the slots that lie between `begin` and `end`.

    `away` is when the server did not answer. The entries `optional`, which not all beats know, may be missing.
    """
    found = _placed(messages)
    wanted = [slot for entry in entries for slot in _slots(entry, begin, end)]
    known = {*wanted, *(slot for entry in optional for slot in _slots(entry, begin, end))}
    table = Table(sent=sum(len(found[slot]) for slot in known if slot in found), slots=len(wanted))
    table.twice = {slot: found[slot] for slot in sorted(known, key=_order) if len(found.get(slot, ())) > 1}
    table.gaps = _gaps([each.made for each in messages if period_of(each.entry) == 1], begin, end, away)
    table.missing = sorted((slot for slot in wanted if slot not in found), key=_order)
    table.unexplained = [slot for slot in table.missing if not _explained(slot, found, table.gaps)]
    table.around = {slot: _around(slot, messages) for slot in table.unexplained}
    table.late = [each for each in messages if begin <= each.made < end and _is_late(each, away)]
    return table


def _placed(messages: Iterable[Message]) -> dict[Slot, list[Message]]:
    """Return the messages of each slot that has any."""
    found: dict[Slot, list[Message]] = defaultdict(list)
    for each in sorted(messages, key=lambda each: each.made):
        period = period_of(each.entry)
        found[Slot(entry=each.entry, begin=floor(each.made) // period * period)].append(each)
    for slot in sorted((slot for slot, sent in found.items() if len(sent) > 1), key=_order):
        before, after = (Slot(entry=slot.entry, begin=at) for at in (2 * slot.begin - slot.end, slot.end))
        sent = found[slot]
        if len({each.pid for each in sent}) > 1:
            continue
        if before not in found and sent[0].made - slot.begin <= EDGE:
            found[before] = [sent.pop(0)]
        elif after not in found and slot.end - sent[-1].made <= EDGE:
            found[after] = [sent.pop()]
    return dict(found)


def _order(slot: Slot) -> tuple[int, str]:
    return slot.begin, slot.entry


def _slots(entry: str, begin: int, end: int) -> list[Slot]:
    """Return the slots of an entry that lie wholly in the time."""
    period = period_of(entry)
    first = -(-begin // period) * period
    return [Slot(entry=entry, begin=at) for at in range(first, end - period + 1, period)]


def _gaps(made: Iterable[float], begin: int, end: int, away: Sequence[tuple[float, float]]) -> list[Gap]:
    """Return the times in which nobody sent."""
    times = sorted(each for each in made if begin - 1 <= each < end + 1)
    gaps = []
    for before, after in zip([float(begin) - 1e-6, *times], [*times, float(end)], strict=True):
        if floor(after) - floor(before) > 1 or after - before > SILENCE:
            backs = [to for since, to in away if since <= after and to >= before]
            gaps.append(Gap(begin=before, end=after, back=max(backs, default=None)))
    return gaps


def _explained(slot: Slot, found: dict[Slot, list[Message]], gaps: Iterable[Gap]) -> bool:
    """Whether a gap began before the slot was sent, and went on until its end, give or take one sending."""
    return any(gap.begin <= _due(slot, found) + SLACK and slot.end <= gap.end + SLACK for gap in gaps)


def _around(slot: Slot, messages: Iterable[Message]) -> list[Message]:
    own = sorted((each for each in messages if each.entry == slot.entry), key=lambda each: each.made)
    before = [each for each in own if each.made < slot.begin]
    after = [each for each in own if each.made >= slot.begin]
    return [*before[-1:], *after[:1]]


def _due(slot: Slot, found: dict[Slot, list[Message]]) -> float:
    """Return when a slot was due at the latest.

    An interval counts from the last run, rounded down to a second, so that it need not be due when its slot begins.
    """
    period = period_of(slot.entry)
    before = found.get(Slot(entry=slot.entry, begin=slot.begin - period))
    if period >= 60 or not before:
        return float(slot.begin)
    return float(max(slot.begin, floor(max(each.made for each in before)) + period))


def _is_late(message: Message, away: Sequence[tuple[float, float]]) -> bool:
    arrived = message.arrived
    if arrived is None or arrived - message.made <= LATE:
        return False
    return not any(since - SLACK <= arrived and to >= message.made - SLACK for since, to in away)


def shown(values: Sequence[float]) -> str:
    """Return how many, the median and the longest."""
    if not values:
        return "none"
    return f"{len(values)}: median {statistics.median(values):.2f} s, longest {max(values):.2f} s"


def multiplicity(table: Table) -> str:
    """Return how often slots were sent that were sent more than once, as "2 times: 30, 3 times: 1"."""
    counted = Counter(len(each) for each in table.twice.values())
    return ", ".join(f"{times} times: {number}" for times, number in sorted(counted.items()))
