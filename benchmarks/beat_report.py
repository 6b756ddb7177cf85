"""The tables of the benchmark of beats."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Sequence

from benchmarks.beat_chaos import Outcome
from benchmarks.beat_container import Minutes
from benchmarks.beat_cost import Idle
from benchmarks.beat_failover import Failovers
from benchmarks.beat_messages import Message
from benchmarks.beat_outage import Outage
from benchmarks.beat_slots import Slot, multiplicity, shown
from benchmarks.report import Side, Target, print_conditions, report_ratio, verdict

#: Failover of ours by that of RedBeat.
TARGET_RATIO = Target(limit=0.25)
TARGET_KILL = Target(limit=3, unit="s")
TARGET_TERM = Target(limit=0.5, unit="s")
TARGET_FIRST = Target(limit=3, unit="s")
TARGET_TIME = Target(limit=1, unit="% of a core")
TARGET_COMMANDS = Target(limit=2, unit="commands/s")
TARGET_RATE = Target(limit=0.9, at_least=True)
NONE = Target(limit=0)

#: Examples that are printed of each kind.
SHOWN = 10


def print_details(outcome: Outcome) -> None:
    """Print what happened to one side, and examples of what was sent twice or is missing."""
    table = outcome.table
    print(
        f"\n{outcome.maker.title()}: {', '.join(f'{kind} {number}' for kind, number in outcome.events.most_common())}"
    )
    for slot, messages in [*table.twice.items()][:SHOWN]:
        print(f"  sent {len(messages)} times: {slot.entry} of {slot.begin}: {_made(slot, messages)}")
    if table.twice:
        print(f"  slots sent {multiplicity(table)}")
    for slot in table.unexplained[:SHOWN]:
        print(
            f"  missing outside a failover: {slot.entry} of {slot.begin}; around it {_made(slot, table.around[slot])}"
        )
    for at in sorted({slot.begin for slot in (*table.twice, *table.unexplained)})[: SHOWN // 2]:
        near = [f"{when - at:.3f} s {what}" for when, what in outcome.log if at - 30 < when < at + 3]
        print(f"  what happened near {at}: {'; '.join(near)}")
    for late in table.late[:SHOWN]:
        print(
            f"  late: {late.entry} of {late.made:.3f} came {(late.arrived or 0) - late.made:.1f} s later, by {late.pid}"
        )
    for said, number in Counter(f"{each.code}: {each.said[:200]}" for each in outcome.ended).most_common(SHOWN):
        print(f"  beats that ended by themselves with {said} ({number})")
    sys.stdout.flush()


def _made(slot: Slot, messages: Sequence[Message]) -> str:
    """Return when messages were made, in seconds after the slot began, and by which process."""
    return ", ".join(f"{each.made - slot.begin:.4f} s by {each.pid}" for each in messages)


def print_chaos(minutes: float, seed: int, outcomes: Sequence[Outcome]) -> int:
    """Print the table of all sides, and judge ours."""
    print_conditions(f"{minutes:g} minutes a side, seed {seed}: beats and the server killed, stopped and paused")
    rows = [["", *(each.maker.title() for each in outcomes)]]
    rows += [[name, *(str(read(each)) for each in outcomes)] for name, read in _CHAOS.items()]
    _print(rows)
    ours = [each for each in outcomes if each.maker.side == "ours"]
    met = [verdict(each.table.too_many, NONE) & verdict(len(each.table.unexplained), NONE) for each in ours]
    return 0 if all(met) else 1


_CHAOS = {
    "beats": lambda each: each.beats,
    "events": lambda each: sum(each.events.values()),
    "messages": lambda each: each.table.sent,
    "slots": lambda each: each.table.slots,
    "slots sent twice or more": lambda each: len(each.table.twice),
    "messages too many": lambda each: each.table.too_many,
    "slots missing": lambda each: len(each.table.missing),
    "of these outside a failover": lambda each: len(each.table.unexplained),
    "failovers, the server there": lambda each: shown(each.table.failovers),
    "server's return to first tick": lambda each: shown(each.table.returns),
    "messages late, the server there": lambda each: len(each.table.late),
    "messages of an entry not in the code": lambda each: each.unknown,
    "beats that ended by themselves": lambda each: len(each.ended),
    "beats that SIGTERM did not end": lambda each: each.stubborn,
}


def print_failovers(found: Sequence[Failovers]) -> int:
    """Print the table, and judge ours, also beside RedBeat."""
    print_conditions("From the last message of one beat to the first of the next, less the period")
    rows = [["", *(each.maker.title() for each in found)]]
    rows.append(["SIGKILL", *(shown(each.kills) for each in found)])
    rows.append(["SIGTERM", *(shown(each.terms) for each in found)])
    rows.append(["beats that ended by themselves", *(str(each.ended) for each in found)])
    _print(rows)
    sides = {each.maker.side: each for each in found}
    ours, redbeat = sides.get("ours"), sides.get("redbeat")
    met = True
    for name, target in (("kills", TARGET_KILL), ("terms", TARGET_TERM)):
        times = getattr(ours, name, None)
        if times:
            met = verdict(max(times), target) and met
            others = getattr(redbeat, name, None)
            if others:
                met = verdict(statistics.median(times) / statistics.median(others), TARGET_RATIO) and met
    return 0 if met else 1


def print_outages(found: Sequence[Outage]) -> int:
    """Print the table, and judge ours."""
    print_conditions("Three beats, and the server away")
    rows = [["", "the server", "away", "to the first tick", "ended by themselves", "the first of these said last"]]
    for each in found:
        first = "none" if each.first is None else f"{each.first:.2f} s"
        rows.append([each.maker.title(), each.what, f"{each.away:.1f} s", first, str(each.ended), each.said[:60]])
    _print(rows)
    ours = [each for each in found if each.maker.side == "ours"]
    met = [verdict(float("inf") if each.first is None else each.first, TARGET_FIRST) for each in ours]
    return 0 if all(met) and verdict(sum(each.ended for each in ours), NONE) else 1


def print_container(found: Minutes) -> int:
    """Print how often each minute was sent."""
    print_conditions("A crontab of every minute, in a container that is killed once a minute")
    kills = ", ".join(f"{each:.1f}" for each in found.kills)
    print(f"SIGKILL, at the second of its minute: {kills}")
    print(f"sent in each minute: {', '.join(map(str, found.sent))}; ended by themselves: {found.ended}")
    return 0 if verdict(sum(number != 1 for number in found.sent), NONE) else 1


def print_idle(found: Sequence[Idle], seconds: float) -> int:
    """Print the table, and judge ours."""
    print_conditions(f"An idle beat of 100 entries, {seconds:g} s")
    rows = [["", "% of a core", "commands/s"]]
    rows += [[each.maker.title(), f"{each.time:.2f}", f"{each.commands:.2f}"] for each in found]
    _print(rows)
    ours = [each for each in found if each.maker.side == "ours"]
    met = [verdict(each.time, TARGET_TIME) & verdict(each.commands, TARGET_COMMANDS) for each in ours]
    return 0 if all(met) else 1


def print_burst(sides: Sequence[Side]) -> int:
    """Print the table, and judge the ratio of ours to stock."""
    ours, stock = sides
    return 0 if report_ratio("1,000 entries due in the same second", ours, stock, TARGET_RATE, "messages/s") else 1


def _print(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(flush=True)
