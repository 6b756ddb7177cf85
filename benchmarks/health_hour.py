"""Mixed load for an hour: how often is a worker that works said to be not alive?

    python -m benchmarks.health_hour [--minutes 60] [--processes 2] [--rate 20]

It starts two workers (prefork and threads) of a site with a Redis of its own, sends short, long, failing, retried and late tasks
in bursts and pauses, and asks /livez, /readyz and the file every second. In each quarter of the time it stops the broker for ten
seconds, and kills a process of a pool. Each answer that is not "alive" is a false alarm, and is printed with its reason.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.e2e.test_health import ask
from tests.servers import Redis, free_port, started
from tests.support import Site, wait_for

TASKS = """
import random, time
from celery import shared_task

@shared_task
def short():
    time.sleep(random.random() / 20)

@shared_task
def long():
    time.sleep(random.choice((5, 30, 90)))

@shared_task
def compute():
    until = time.monotonic() + 2
    while time.monotonic() < until:
        sum(range(10_000))

@shared_task
def fail():
    raise ValueError("as it should")

@shared_task(bind=True, max_retries=2)
def again(self):
    raise self.retry(countdown=3)

@shared_task(acks_late=True, rate_limit="30/m")
def limited():
    pass
"""

SEND = """
import sys, django; django.setup()
from shop import tasks
for word in sys.stdin.read().split():
    name, _, seconds = word.partition(":")
    getattr(tasks, name).apply_async(countdown=float(seconds) if seconds else None)
"""

#: How often each task is sent.
MIX = {"short": 60, "compute": 3, "long": 2, "fail": 10, "again": 5, "limited": 4, "short:20": 10}

POOLS = ("prefork", "threads")


class Hour:
    def __init__(self, site: Site, server: Redis, processes: int) -> None:
        self.site = site
        self.server = server
        self.ports = [free_port() for _ in POOLS]
        self.workers = [
            site.start_manage(
                *("runworker", "--noreload", "-l", "WARNING", "-P", pool, "-c", str(processes), "-n", f"{pool}@%h"),
                *("--health", str(port), "--without-mingle", "--without-gossip"),
            )
            for pool, port in zip(POOLS, self.ports, strict=True)
        ]
        self.asked = 0
        self.slowest = 0.0
        self.alarms: Counter[str] = Counter()
        for port in self.ports:
            wait_for(lambda: ask(port, "/readyz")[0] == 200)  # noqa: B023 - called at once

    def send(self, count: int) -> subprocess.Popen[str]:
        words = random.choices(list(MIX), list(MIX.values()), k=count)
        environment = self.site.variables(DJANGO_SETTINGS_MODULE=self.site.settings_module)
        sender = subprocess.Popen(
            [sys.executable, "-c", SEND], cwd=self.site.root, env=environment, stdin=subprocess.PIPE, text=True
        )
        assert sender.stdin is not None
        sender.stdin.write(" ".join(words))
        sender.stdin.close()
        return sender

    def look(self) -> None:
        for pool, port in zip(POOLS, self.ports, strict=True):
            began = time.monotonic()
            status, text = ask(port)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self._note(status != 200, f"{pool} /livez: {status} {text.strip()}")
        ran = self.site.run(sys.executable, "-m", "tasktools.probe", "worker", "--max-age", "30s")
        self._note(ran.returncode != 0, f"the file: {ran.stderr.strip()}")

    def _note(self, is_alarm: bool, what: str) -> None:
        self.asked += 1
        if is_alarm:
            self.alarms[what] += 1
            print(f"{time.strftime('%H:%M:%S')} FALSE ALARM {what}", flush=True)

    def disturb(self) -> None:
        """Stop the broker for ten seconds, and kill a process of the pool."""
        main = self.workers[0].process.pid
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(main)], capture_output=True, text=True
        ).stdout.split()
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(children[0]), signal.SIGKILL)
        self.server.suspend()
        try:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                self.look()
                time.sleep(1)
        finally:
            self.server.resume()


def run(hour: Hour, minutes: float, rate: float) -> None:
    began, disturbed, sender, sent = time.monotonic(), 0, None, 0
    while (passed := time.monotonic() - began) < minutes * 60:
        if passed > (disturbed + 0.5) * minutes * 60 / 4:
            disturbed += 1
            hour.disturb()
        is_burst = int(passed / 30) % 4 != 3  # every fourth half minute nothing is sent
        if is_burst and (sender is None or sender.poll() is not None):
            count = random.randint(1, int(rate * 10))
            sent += count
            sender = hour.send(count)
        hour.look()
        time.sleep(1)
    if sender:
        sender.wait(60)
    waits = hour.server.client().llen("celery")
    print(
        f"{minutes:g} minutes, {sent} tasks sent, {waits} still wait; {hour.asked} questions, "
        f"{sum(hour.alarms.values())} false alarms, slowest answer {hour.slowest:.2f} s"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=20, help="tasks a second, at most about")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        (root / "site").mkdir()
        with started(Redis, root / "redis") as server, Site(root / "site") as site:
            site.minimal(settings=f"CELERY_BROKER_URL = {server.url!r}")
            site.write("shop/tasks.py", TASKS)
            hour = Hour(site, server, options.processes)
            run(hour, options.minutes, options.rate)
            return int(bool(hour.alarms))


if __name__ == "__main__":
    sys.exit(main())
