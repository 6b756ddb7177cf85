"""How long nobody sends after the beat that sends was killed, or told to end; and after the server was away.

Three beats, one entry every 0.2 s. The time is that between the last message of the beat in charge and the first of the next
one, each by when it was made, less the period. A beat is started again when another one has taken over.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from benchmarks.beat_messages import Reader, reader
from benchmarks.beat_processes import Beat, Beats, beats
from benchmarks.beat_server import server
from benchmarks.beat_sites import Maker
from benchmarks.common import folder

BEATS = 3
PERIOD = 0.2
SCHEDULE = f'{{"often": _entry("often", schedule({PERIOD}))}}'


@dataclass(kw_only=True)
class Failovers:
    """What one side has done, in seconds."""

    maker: Maker
    kills: list[float] = field(default_factory=list)
    terms: list[float] = field(default_factory=list)
    #: Beats that ended by themselves.
    ended: int = 0


def failovers(maker: Maker, kills: int, terms: int, seed: int) -> Failovers:
    """Kill and end the beat that sends, one after the other."""
    dice = random.Random(seed)
    done = Failovers(maker=maker)
    with folder() as root, server(root / "server") as broker:
        project = maker.project(root / "site", broker, SCHEDULE)
        with reader(broker.client) as messages, beats(maker.command, project, BEATS) as running:
            running.require(lambda: messages.latest is not None, "the first message")
            for times, number, how in ((done.kills, kills, Beat.kill), (done.terms, terms, Beat.terminate)):
                for _ in range(number):
                    running.wait(dice.uniform(5, 8))
                    beat = in_charge(running, messages)
                    beat.restarts = False
                    how(beat)
                    times.append(takeover(running, messages, beat.process.pid))
                    beat.restarts = True
            done.ended = len(running.ended)
    return done


def in_charge(running: Beats, messages: Reader) -> Beat:
    """Wait until one beat alone sends, and return it. Raises RuntimeError if there is none."""
    running.require(lambda: len(_senders(messages, 1.0)) == 1, "one beat alone to send")
    pid = messages.seen[-1].pid
    beat = running.of(pid)
    if beat is None:
        raise RuntimeError(f"The process {pid} sends, which is no beat of this benchmark.")
    return beat


def _senders(messages: Reader, seconds: float) -> set[int]:
    return {each.pid for each in messages.since(time.time() - seconds)}


def takeover(running: Beats, messages: Reader, old: int) -> float:
    """Wait for the first message of another process than `old`; return how long nobody sent. Raises RuntimeError."""
    since = time.time() - 2

    def next_one() -> list[float]:
        return [each.made for each in messages.since(since) if each.pid != old]

    running.require(lambda: bool(next_one()), "another beat to take over")
    last = max(each.made for each in messages.since(since) if each.pid == old)
    return max(0.0, min(next_one()) - last - PERIOD)
