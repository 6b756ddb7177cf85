"""A file of calls, sent by a command that is killed again and again, as is its server: every line runs exactly once.

    python -m tests.crashes [--lines 100000] [--kills 30] [--seed N] [--redis] [--prefix site:] [--commands 2] [--no-ids]

With --redis the broker is a redis-server in place of the private Valkey, with --prefix its keys have one, and with --commands
so many commands send the same run at the same time, each of them with the same file of ids, whose lock lets one of them send;
with --no-ids it is the mark alone that keeps them apart.

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
from typing import Any

import redis

from tests import servers
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
    #: How many commands were refused, for another one sent the run.
    refused: int
    missing: list[int]
    repeated: list[int]
    #: Of so many lines the ids were written; None without --ids.
    ids: int | None

    @property
    def good(self) -> bool:
        return not (self.missing or self.repeated)


class PrivateServer:
    """The private Valkey of the site, which its next client starts again."""

    def __init__(self, site: Site, prefix: str = "") -> None:
        self.site = site
        self.settings = (
            f'TASKTOOLS_LINGER = "20s"\nCELERY_BROKER_TRANSPORT_OPTIONS = {{"global_keyprefix": "{prefix}"}}\n'
        )

    @property
    def is_up(self) -> bool:
        return self.site.server_pid() is not None

    def kill(self) -> None:
        pid = self.site.server_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def client(self) -> Any:
        return redis.Redis(unix_socket_path=str(self.site.data / "valkey.sock"))


class RedisServer:
    """A redis-server, which is started again when it has been killed."""

    is_up = True

    def __init__(self, server: servers.Redis, prefix: str = "") -> None:
        self.server = server
        self.settings = (
            f'CELERY_BROKER_URL = "{server.url}"\n'
            f'CELERY_BROKER_TRANSPORT_OPTIONS = {{"global_keyprefix": "{prefix}"}}\n'
        )

    def kill(self) -> None:
        self.server.kill()
        self.server.start()

    def client(self) -> Any:
        return self.server.client()


def run(
    site: Site,
    *,
    lines: int,
    kills: int,
    seed: int,
    server: PrivateServer | RedisServer | None = None,
    prefix: str = "",
    commands: int = 1,
    ids: bool = True,
) -> Found:
    """Send a file of so many lines with so many kills, have a stock worker run it, and return what it has recorded."""
    chance = random.Random(seed)
    server = server or PrivateServer(site, prefix)
    site.minimal(settings=server.settings)
    site.write("shop/tasks.py", TASKS)
    record = site.root / "record"
    file = site.root / "calls.jsonl"
    file.write_text("".join(json.dumps([str(record), key]) + "\n" for key in range(lines)))
    sender = _Sender(site, server, commands, chance, str(max(500, lines // (kills + kills // 3))), ids)
    sender.send(kills)
    _drain(site, server, prefix, record)
    ran = collections.Counter(map(int, record.read_text().split()))
    return Found(
        commands=sender.begun,
        killed=dict(sender.killed),
        refused=sender.refused,
        missing=[key for key in range(lines) if key not in ran],
        repeated=[key for key, times in ran.items() if times > 1],
        ids=len(set((site.root / "ids").read_text().split())) if ids else None,
    )


class _Sender:
    """Starts commands of one run until one of them has come to its end."""

    def __init__(
        self,
        site: Site,
        server: PrivateServer | RedisServer,
        commands: int,
        chance: random.Random,
        rate: str,
        ids: bool,
    ) -> None:
        self.site = site
        self.server = server
        self.commands = commands
        self.chance = chance
        #: Slow enough to be hit in the middle.
        self.rate = rate
        self.ids = ("--ids", "ids") if ids else ()
        self.killed = collections.Counter[str]()
        self.begun = self.refused = 0

    def send(self, kills: int) -> None:
        codes: list[int] = []
        while 0 not in codes:
            together = [self._start(self.rate if kills > self.killed.total() else "") for _ in range(self.commands)]
            while kills > self.killed.total() and self._running(together):
                self._kill(together)
            codes = [each.process.wait(120) for each in together]
            outputs = [each.output for each in together]
            self.refused += sum("another process" in each or "Another process" in each for each in outputs)
            assert not any("Traceback" in each for each in outputs), outputs

    def _start(self, rate: str) -> Running:
        self.begun += 1
        words = ("enqueue", "note", "--from", "calls.jsonl", "--resume", "run", "--batch-size", "100")
        return self.site.start_manage(*words, *self.ids, *(("--rate", rate) if rate else ()))

    @staticmethod
    def _running(together: list[Running]) -> list[Running]:
        return [each for each in together if each.process.poll() is None]

    def _kill(self, together: list[Running]) -> None:
        """Kill a command or the server at a random moment of its work, unless all end before."""
        wait_for(lambda: self.server.is_up or not self._running(together))
        deadline = time.monotonic() + 0.35 + self.chance.random() * 1.2
        wait_for(lambda: time.monotonic() > deadline or not self._running(together))
        running = self._running(together)
        if not running:
            return
        what = self.chance.choice(["command", "server"])
        self.killed[what] += 1
        if what == "command":
            self.chance.choice(running).process.kill()
        else:
            self.server.kill()


def _drain(site: Site, server: PrivateServer | RedisServer, prefix: str, record: Path) -> None:
    """Have a stock worker run what lies in the queue; fail when something lies there and nothing runs for a minute."""
    words = ("-m", "celery", "-A", "tasktools", "worker", "-c", "2", "--without-mingle", "--without-gossip")
    worker = site.start(sys.executable, *words, env={"DJANGO_SETTINGS_MODULE": site.settings_module})
    size, moved = -1, time.monotonic()
    while True:
        before, size = size, record.stat().st_size if record.exists() else 0
        if size != before:
            moved = time.monotonic()
        elif _queued(server, prefix) == 0:
            break
        assert time.monotonic() - moved < 60, f"{_queued(server, prefix)} messages are left\n{worker.output[-3000:]}"
        _pause()
    worker.end(timeout=120)


def _pause() -> None:
    deadline = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > deadline)


def _queued(server: PrivateServer | RedisServer, prefix: str) -> int:
    with server.client() as client:
        return int(client.llen(f"{prefix}celery") + client.hlen(f"{prefix}unacked"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--commands", type=int, default=1)
    parser.add_argument("--no-ids", dest="ids", action="store_false")
    options = parser.parse_args()
    sizes = {"lines": options.lines, "kills": options.kills, "commands": options.commands, "prefix": options.prefix}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = stack.enter_context(Site(folder / "site"))
        server = None
        if options.redis:
            server = RedisServer(stack.enter_context(servers.Redis(folder / "redis")), options.prefix)
        found = run(site, seed=options.seed, server=server, ids=options.ids, **sizes)
    print(
        f"seed {options.seed}: {sizes}, {found.commands} commands, killed {found.killed}, refused {found.refused}; "
        f"missing {len(found.missing)} {found.missing[:5]}, more than once {len(found.repeated)} {found.repeated[:5]}, "
        f"{found.ids} ids"
    )
    return 0 if found.good and found.ids in (options.lines, None) else 1


if __name__ == "__main__":
    sys.exit(main())
