"""What an idle beat costs, and how fast one sends what is due in the same second.

Idle: 100 entries, due in hours. After 10 s of start, its processor time (/proc, so Linux) and the commands that the server
has run are read, and again some seconds later. Burst: 1,000 entries are due in the same second, every 5 s. The first burst
does not count. The time of the second one begins with the first message that the beat makes, and ends when the last one is
in the queue, which is looked at every 2 ms.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import redis

from benchmarks.beat_messages import QUEUE, decode
from benchmarks.beat_processes import beats
from benchmarks.beat_server import server
from benchmarks.beat_sites import Maker
from benchmarks.common import LIMIT, folder
from benchmarks.report import Side, interleave

#: How long a beat may start, in seconds.
START = 10.0

ENTRIES = 1000

#: Due at each whole multiple of its seconds, as a crontab is at each minute; and as that one, it knows its next time exactly.
GRID = """\
from celery.schedules import schedule, schedstate


class Grid(schedule):
    def is_due(self, last_run_at):
        now, last = self.now().timestamp(), self.maybe_make_aware(last_run_at).timestamp()
        following = (now // self.seconds + 1) * self.seconds
        due = (last // self.seconds + 1) * self.seconds
        return schedstate(now >= due, (following if now >= due else due) - now)
"""
BURST = f'{{**_entries({ENTRIES}, "5s-", __import__("proj.grid").grid.Grid(5))}}'


@dataclass(frozen=True, kw_only=True)
class Idle:
    """What one idle beat costs."""

    maker: Maker
    #: In % of a core.
    time: float
    #: Commands a second at the server.
    commands: float


def idle(maker: Maker, seconds: float) -> Idle:
    """Look at an idle beat for some seconds."""
    hour = (datetime.now(timezone.utc).hour + 6) % 24
    schedule = f'{{**_entries(100, "daily-", crontab(minute=0, hour={hour}))}}'
    with folder() as root, server(root / "server") as broker:
        project = maker.project(root / "site", broker, schedule)
        with broker.client() as client, beats(maker.command, project, 1) as running:
            running.wait(START)
            pid = running.all[0].process.pid
            client.config_resetstat()
            before, begin = _used(pid), time.monotonic()
            running.wait(seconds)
            passed, after = time.monotonic() - begin, _used(pid)
            return Idle(maker=maker, time=100 * (after - before) / passed, commands=_commands(client) / passed)


def _used(pid: int) -> float:
    """Return the processor time of all threads of a process in seconds; the kernel counts it here in nanoseconds."""
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _commands(client: redis.Redis) -> int:
    """Return how many commands the server has run since its figures were reset, without that one."""
    figures = client.info("commandstats")
    return sum(each["calls"] for name, each in figures.items() if not name.startswith("cmdstat_config"))


def burst(makers: list[Maker], pairs: int) -> list[Side]:
    """Take samples of the sides in turn, in messages a second."""
    sides = [Side(name=maker.title(), sample=lambda maker=maker: _sample(maker)) for maker in makers]
    interleave(sides, pairs)
    return sides


def _sample(maker: Maker) -> float:
    with folder() as root, server(root / "server") as broker:
        project = maker.project(root / "site", broker, BURST)
        (project / "proj/grid.py").write_text(GRID)
        with broker.client() as client, beats(maker.command, project, 1) as running:
            running.require(lambda: client.llen(QUEUE) >= ENTRIES, "the first burst")
            client.delete(QUEUE)
            end = _filled(client)
            sent = [decode(raw) for raw in client.lrange(QUEUE, 0, -1)]
            if running.ended or len(sent) != ENTRIES:
                raise RuntimeError(f"{maker.title()} has sent {len(sent)} messages, not {ENTRIES}.")
            return ENTRIES / (end - min(each.made for each in sent))


def _filled(client: redis.Redis) -> float:
    """Return the time at which all messages are in the queue. Raises RuntimeError after LIMIT seconds."""
    deadline = time.time() + LIMIT
    while client.llen(QUEUE) < ENTRIES:
        if time.time() > deadline:
            raise RuntimeError("The second burst has not come.")
        time.sleep(0.002)
    return time.time()
