"""Several beats on one project while they and the server are killed, stopped and paused at random; halfway a deploy."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.beat_messages import Message, Reader, reader
from benchmarks.beat_processes import Beat, Beats, Ended, beats
from benchmarks.beat_server import Server, server
from benchmarks.beat_sites import Maker, another_version
from benchmarks.beat_slots import Table, tabulate
from benchmarks.common import folder

#: An entry that only the older version has, and one that only the newer one has.
OLD, NEW = "1s-old", "1s-new"

SCHEDULE = """{
    **_entries(20, "1s-", schedule(1, relative=True)),
    **_entries(20, "5s-", schedule(5, relative=True)),
    **_entries(3, "60s-", crontab()),
    "1s-old": _entry("1s-old", schedule(1, relative=True)),
}"""

ENTRIES = [f"{kind}-{n:03}" for kind, number in (("1s", 20), ("5s", 20), ("60s", 3)) for n in range(number)]

#: What happens, and how often in comparison.
KINDS = {"SIGKILL": 3, "SIGTERM": 3, "SIGSTOP": 3, "server SIGSTOP": 1, "server CLIENT PAUSE": 1, "server SIGKILL": 1}

#: How long nothing happens before the end, in seconds.
CALM = 10.0


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happens."""

    #: Seconds after the beginning.
    at: float
    kind: str
    #: The number of the beat; None for the one that sends.
    victim: int | None
    #: How long a beat is stopped, or the server away.
    seconds: float


def plan(seed: int, minutes: float, number: int, aim: float) -> list[Event]:
    """Return what will happen: the same for the same numbers."""
    dice = random.Random(seed)
    events, at = [], 0.0
    while True:
        at += dice.uniform(3, 8)
        [kind] = dice.choices([*KINDS], [*KINDS.values()])
        victim, aimed = int(dice.random() * number), dice.random() < aim
        seconds = dice.uniform(1, 30 if kind == "SIGSTOP" else 8)
        if at > minutes * 60 - CALM:
            return events
        events.append(Event(at=at, kind=kind, victim=None if aimed else victim, seconds=seconds))


@dataclass(kw_only=True)
class Outcome:
    """What one side has done."""

    maker: Maker
    beats: int
    table: Table
    events: Counter[str]
    ended: list[Ended]
    stubborn: int
    #: What happened when: Unix time, kind, and the process that was hit.
    log: list[tuple[float, str]]
    #: Messages of an entry that the code of their beat does not know.
    unknown: int


def chaos(maker: Maker, *, minutes: float, number: int, seed: int, aim: float) -> Outcome:
    """Run one side."""
    with folder() as root, server(root / "server") as broker:
        project = maker.project(root / "old", broker, SCHEDULE)
        newer = another_version(project, f'"{OLD}": _entry("{OLD}"', f'"{NEW}": _entry("{NEW}"')
        with reader(broker.client) as messages, beats(maker.command, project, number) as running:
            run = Run(broker=broker, beats=running, messages=messages, minutes=minutes, newer=newer)
            begin, end = run.go(plan(seed, minutes, number, aim))
            sent = messages.everything()
        table = tabulate(sent, ENTRIES, begin, end, broker.away, [OLD, NEW])
        unknown = [each for each in sent if each.entry == _unknown_to(running, each, newer)]
        return Outcome(
            maker=maker,
            beats=number,
            table=table,
            events=run.done,
            log=run.log,
            ended=running.ended,
            stubborn=running.stubborn,
            unknown=len(unknown),
        )


def _unknown_to(running: Beats, message: Message, newer: Path) -> str:
    """Return which entry the sender of a message does not know."""
    return OLD if running.roots.get(message.pid) == newer else NEW


@dataclass(kw_only=True)
class Run:
    """What happens to the beats of one side."""

    broker: Server
    beats: Beats
    messages: Reader
    minutes: float
    #: Where the newer version of the project is.
    newer: Path
    done: Counter[str] = field(default_factory=Counter)
    log: list[tuple[float, str]] = field(default_factory=list)
    #: What is to be done later: when, a number that keeps the order, and what.
    _later: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def go(self, events: Sequence[Event]) -> tuple[int, int]:
        """Let everything happen; return between which whole seconds slots count."""
        self.beats.require(lambda: self.messages.latest is not None, "the first message")
        self.beats.wait(5)  # the others have started too
        start, begin = time.monotonic(), math.ceil(time.time())
        for event in events:
            self._at(start + event.at, partial(self._happen, event))
        self._at(start + self.minutes * 30, self._deploy)
        end = start + self.minutes * 60
        self._at(end - CALM + 0.1, self._calm)
        while time.monotonic() < end:
            if self._later and self._later[0][0] <= time.monotonic():
                heapq.heappop(self._later)[2]()
            self.beats.wait(0.02)
        return begin, math.floor(time.time())

    def _at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._later, (moment, next(self._numbers), what))

    def _happen(self, event: Event) -> None:
        if event.kind.startswith("server"):
            if not self.broker.is_away:
                self._note(event.kind, f"for {event.seconds:.1f} s")
                self._to_server(event)
            return
        victim = self._victim(event.victim)
        if victim is None:
            return
        self._note(event.kind, f"to {victim.process.pid}, {event.seconds:.1f} s if it is SIGSTOP")
        if event.kind == "SIGKILL":
            victim.kill()
        elif event.kind == "SIGTERM":
            victim.terminate()
        else:
            victim.stop()
            process = victim.process
            self._at(time.monotonic() + event.seconds, lambda: victim.resume() if victim.process is process else None)

    def _note(self, kind: str, more: str) -> None:
        self.done[kind] += 1
        self.log.append((time.time(), f"{kind} {more}"))

    def _victim(self, number: int | None) -> Beat | None:
        """Return the beat that is meant; if it does not run, the next one that does."""
        latest = self.messages.latest
        if number is None and latest is not None:
            sends = self.beats.of(latest.pid)
            number = sends.number if sends else 0
        around = [*self.beats.all[number or 0 :], *self.beats.all[: number or 0]]
        return next((beat for beat in around if beat.is_running), None)

    def _to_server(self, event: Event) -> None:
        if event.kind == "server SIGKILL":
            self.broker.kill()
            back = self.broker.start
        elif event.kind == "server SIGSTOP":
            self.broker.pause()
            back = self.broker.resume
        else:
            self.broker.hold(event.seconds)
            back = self.broker.released
        self._at(time.monotonic() + event.seconds, back)

    def _deploy(self) -> None:
        """Have two beats leave, and two of the newer version come."""
        self._note("deploy", "of two beats")
        for beat in self.beats.all[:2]:
            beat.root = self.newer
            beat.terminate()

    def _calm(self) -> None:
        """Let go on whatever is stopped."""
        for beat in self.beats.all:
            if beat.is_stopped:
                beat.resume()
