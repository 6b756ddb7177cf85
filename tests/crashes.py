"""A file of calls, sent by a command that is killed again and again, as is its server: every line runs exactly once.

    python -m tests.crashes [--lines 100000] [--kills 30] [--seed N]

Prints what it found, and ends with 1 when a line is missing or ran twice. The tests run it with less.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support import Running, Site, wait_for

TASKS = """
from celery import shared_task

@shared_task(ignore_result=True)
def note(path: str, key: int):
    with open(path, "a") as file:
        file.write(f"{key}\\n")
"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the lines became."""

    commands: int
    killed: dict[str, int]
    missing: list[int]
    repeated: list[int]
    ids: int

    @property
    def good(self) -> bool:
        return not (self.missing or self.repeated)


def run(site: Site, *, lines: int, kills: int, seed: int) -> Found:
    """Send a file of so many lines with so many kills, have a stock worker run it, and return what it has recorded."""
    chance = random.Random(seed)
    site.minimal(settings='TASKTOOLS_LINGER = "20s"')
    site.write("shop/tasks.py", TASKS)
    record = site.root / "record"
    file = site.root / "calls.jsonl"
    file.write_text("".join(json.dumps([str(record), key]) + "\n" for key in range(lines)))
    words = ("enqueue", "note", "--from", str(file), "--resume", "run", "--ids", "ids", "--batch-size", "100", "--rate")
    commands, killed = 0, collections.Counter[str]()
    while True:
        # Slow enough to be hit in the middle.
        command = site.start_manage(
            *words, str(max(500, lines // (kills + kills // 3)) if kills > killed.total() else 10**9)
        )
        commands += 1
        while kills > killed.total() and command.process.poll() is None:
            killed += _kill(site, command, chance)
        if command.process.wait(120) == 0:
            break
    _drain(site, lines, record)
    ran = collections.Counter(map(int, record.read_text().split()))
    return Found(
        commands=commands,
        killed=dict(killed),
        missing=[key for key in range(lines) if key not in ran],
        repeated=[key for key, times in ran.items() if times > 1],
        ids=len(set((site.root / "ids").read_text().split())),
    )


def _kill(site: Site, command: Running, chance: random.Random) -> collections.Counter[str]:
    """Kill the command or the server at a random moment of its work, unless it ends before."""
    wait_for(lambda: site.server_pid() is not None or command.process.poll() is not None)
    deadline = time.monotonic() + 0.35 + chance.random() * 1.2
    wait_for(lambda: time.monotonic() > deadline or command.process.poll() is not None)
    if command.process.poll() is not None:
        return collections.Counter()
    what = chance.choice(["command", "server"])
    if what == "command":
        command.process.kill()
    elif (pid := site.server_pid()) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return collections.Counter([what])


def _drain(site: Site, lines: int, record: Path) -> None:
    """Have a stock worker run what lies in the queue."""
    words = ("-m", "celery", "-A", "tasktools", "worker", "-c", "2", "--without-mingle", "--without-gossip")
    worker = site.start(sys.executable, *words, env={"DJANGO_SETTINGS_MODULE": site.settings_module})
    size = 0

    def is_done() -> bool:
        nonlocal size
        before, size = size, record.stat().st_size if record.exists() else 0
        return size == before and _queued(site) == 0

    deadline = time.monotonic() + 60 + lines / 300
    while not is_done() and time.monotonic() < deadline:
        _pause()
    worker.end()


def _pause() -> None:
    deadline = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > deadline)


def _queued(site: Site) -> int:
    import redis

    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        return int(client.llen("celery") + client.hlen("unacked"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder)) as site:
        found = run(site, lines=options.lines, kills=options.kills, seed=options.seed)
    print(
        f"seed {options.seed}: {options.lines} lines, {found.commands} commands, killed {found.killed}; "
        f"missing {len(found.missing)} {found.missing[:5]}, more than once {len(found.repeated)} {found.repeated[:5]}, "
        f"{found.ids} ids"
    )
    return 0 if found.good and found.ids == options.lines else 1


if __name__ == "__main__":
    sys.exit(main())
