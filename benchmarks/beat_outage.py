"""What three beats do while the server is paused, killed, or replaced by Sentinel: who ends, and when the next tick comes.

The entry is due every 0.2 s. The time goes from the moment at which the server answers again to the first message that was made
after it. A paused server keeps its connections, a killed one is started again with its data. Behind Sentinel (a replica,
three sentinels, a master is given up after 2 s) the time goes from the moment at which the replica is the master.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.beat_failover import BEATS, SCHEDULE
from benchmarks.beat_messages import Reader, reader
from benchmarks.beat_processes import Beats, beats
from benchmarks.beat_server import guarded, server
from benchmarks.beat_sites import Maker
from benchmarks.common import folder

#: How long the beats are looked at after the first tick, in seconds: one that ends may do it late.
AFTERWARDS = 8.0

#: How long to wait for a tick, in seconds.
PATIENCE = 90.0


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What one side has done in one outage."""

    maker: Maker
    what: str
    #: How long the server was away, in seconds.
    away: float
    #: From its return to the first tick, in seconds; None if there was none.
    first: float | None
    #: How many beats have ended by themselves, and the last line of one.
    ended: int
    said: str


def outage(maker: Maker, seconds: float) -> list[Outage]:
    """Pause the server for some seconds, and later kill it for some seconds."""
    with folder() as root, server(root / "server") as broker:
        project = maker.project(root / "site", broker, SCHEDULE)

        def absent(begin: Callable[[], None], end: Callable[[], None]) -> Callable[[Beats], None]:
            def run(running: Beats) -> None:
                begin()
                running.wait(seconds)
                end()

            return run

        with reader(broker.client) as messages, beats(maker.command, project, BEATS) as running:
            return [
                _measure(maker, "paused", running, messages, absent(broker.pause, broker.resume)),
                _measure(maker, "killed", running, messages, absent(broker.kill, broker.start)),
            ]


def sentinel(maker: Maker) -> Outage:
    """Kill the master behind Sentinel."""
    with folder() as root, guarded(root / "servers") as broker:
        project = maker.project(root / "site", broker, SCHEDULE)

        def fail(running: Beats) -> None:
            broker.kill_master()
            running.require(broker.other_serves, "the replica to become the master")

        with reader(broker.client) as messages, beats(maker.command, project, BEATS) as running:
            return _measure(maker, "master killed (Sentinel)", running, messages, fail)


def _measure(maker: Maker, what: str, running: Beats, messages: Reader, absence: Callable[[Beats], None]) -> Outage:
    running.require(lambda: messages.latest is not None, "the first message")
    running.wait(6)
    ended = len(running.ended)
    gone = time.time()
    absence(running)
    back = time.time()
    running.until(lambda: bool(messages.since(back)), PATIENCE)
    made = [each.made for each in messages.since(back)]
    running.wait(AFTERWARDS)
    new = running.ended[ended:]
    first = min(made) - back if made else None
    said = new[0].said if new else ""
    return Outage(maker=maker, what=what, away=back - gone, first=first, ended=len(new), said=said)
