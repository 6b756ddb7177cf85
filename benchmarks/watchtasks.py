"""What it costs to watch 1,000 tasks a second: processor time, memory, and whether all of them are seen.

    python -m benchmarks.watchtasks [--seconds N] [--rate N] [--buffered] [--side NAME ...]

A process publishes the events of `--rate` tasks a second (received, started, succeeded or failed) by Celery's own
dispatcher, which workers use; no task runs, so that the machine has time for the watchers. `--buffered` has it send the
events in lists, as workers of the prefork pool do; without it each event is a message of its own, as workers of the
other pools send them. The sides watch one after the other: `watchtasks` as lines, as JSON, and `--top` in a terminal of
80x24 and of 200x60; `celery events --dump`; `celery events` in a terminal of 80x24; Flower. Each reads what it should
print, and is ended by SIGTERM or SIGINT.

A figure of processor time is that of the process while events come, in % of a core; memory is VmRSS after a quarter of
the time and at the end, in millions of bytes. Seen are the tasks whose end it has shown or counted; "-" if it does not
say that. It reads /proc and so needs Linux.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pexpect

from benchmarks.common import (
    LIMIT,
    OURS_DATABASE,
    PYTHON,
    STOCK_DATABASE,
    Sites,
    await_,
    broker_url,
    environment,
    sites,
)
from benchmarks.report import Target, bare_parser, positive, print_conditions
from benchmarks.supervisor_cost import memory, used
from benchmarks.tools import flower_celery
from tests.servers import free_port

TARGET_TIME = Target(limit=50, unit="% of a core")
TARGET_GROWTH = Target(limit=5, unit="MB")

#: How long a side may take to see the last events after they were sent, in seconds.
REST = 3.0

PUBLISHER = """\
import sys, time, uuid
from celery import Celery

url, rate, seconds, buffered = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "True"
app = Celery("load", broker=url)
names = ["shop.tasks.add", "shop.tasks.report", "mails.tasks.send", "billing.tasks.charge"]
with app.connection_for_write() as connection:
    events = app.events.Dispatcher(connection, hostname="load@host", buffer_group=["task"] if buffered else None)
    begin, sent = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        while sent < int(now * rate):
            key, sent = str(uuid.uuid4()), sent + 1
            more = {"args": "(1, 2)", "kwargs": "{}", "retries": 0, "eta": None, "expires": None, "root_id": key}
            events.send("task-received", uuid=key, name=names[sent % 4], **more)
            events.send("task-started", uuid=key)
            if sent % 100:
                events.send("task-succeeded", uuid=key, result="3", runtime=0.001 * (sent % 50))
            else:
                events.send("task-failed", uuid=key, exception="ValueError('x')", traceback="Traceback ...")
        events.flush()
        time.sleep(0.01)
    events.send("worker-heartbeat", freq=2.0, active=0, processed=sent, loadavg=(0, 0, 0), sw_ident="x")
print(sent)
"""


@dataclass(frozen=True, kw_only=True)
class Watching:
    """A watcher that runs."""

    pid: int
    #: Return how many tasks it has seen to end; None if it does not say so.
    seen: Callable[[], int | None]
    #: Return whether it listens.
    listens: Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one watcher costs. Memory in MB, time in % of a core."""

    name: str
    sent: int
    seen: int | None
    time: float
    early: float
    late: float


@contextlib.contextmanager
def printing(command: Sequence[str], root: Path, end: str) -> Iterator[Watching]:
    """Run a watcher that prints; a line that has `end` is of a task that has ended."""
    with tempfile.TemporaryFile("w+b") as output:
        process = subprocess.Popen(
            command, cwd=root, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        with _ended(process):
            is_later = _after(3)
            yield Watching(
                pid=process.pid,
                seen=lambda: _found(output, end),
                listens=lambda: is_later() and ("manage.py" not in command or _found(output, "Watching") > 0),
            )


@contextlib.contextmanager
def drawing(command: Sequence[str], root: Path, columns: int, lines: int, counted: str = "") -> Iterator[Watching]:
    """Run a watcher in a terminal, which is read all the time; `counted` matches what it says of the number seen."""
    child = pexpect.spawn(
        command[0],
        list(command[1:]),
        cwd=str(root),
        env={**environment(), "TERM": "xterm"},
        dimensions=(lines, columns),
    )
    tail = b""

    def read() -> None:
        nonlocal tail
        with contextlib.suppress(pexpect.EOF, OSError, ValueError):
            while True:
                with contextlib.suppress(pexpect.TIMEOUT):
                    tail = (tail + child.read_nonblocking(65536, timeout=1))[-200_000:]

    def seen() -> int | None:
        found = re.findall(counted.encode(), tail) if counted else []
        return sum(int(each.replace(b",", b"")) for each in found[-1]) if found else None

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        is_later = _after(3)
        yield Watching(
            pid=child.pid, seen=seen, listens=lambda: is_later() and not (counted and seen() is None)
        )  # ours has drawn its table then
    finally:
        child.close(force=True)
        reader.join(5)


@contextlib.contextmanager
def flower(root: Path) -> Iterator[Watching]:
    """Run Flower; its page of metrics counts events."""
    port = free_port()
    command = [str(flower_celery()), "-A", "proj", "flower", "--address=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def seen() -> int:
        counts = re.findall(
            r'^flower_events_total\{.*type="task-(?:succeeded|failed)".*\} ([\d.e+]+)$', page(), re.MULTILINE
        )
        return int(sum(map(float, counts)))

    with _ended(process):
        yield Watching(pid=process.pid, seen=seen, listens=lambda: bool(page()))


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _found(output: IO[bytes], end: str) -> int:
    output.seek(0)
    return len(re.findall(end.encode(), output.read()))


def _after(seconds: float) -> Callable[[], bool]:
    begin = time.monotonic()
    return lambda: time.monotonic() - begin > seconds


Sides = dict[str, tuple[int, Callable[[], contextlib.AbstractContextManager[Watching]]]]


def sides_of(found: Sites) -> Sides:
    """Return each side with the database that it watches."""
    ours = [PYTHON, "manage.py", "watchtasks"]
    stock = [PYTHON, "-m", "celery", "-A", "proj", "events"]
    counted = r"([\d,]+) done, ([\d,]+) failed"
    return {
        "watchtasks": (OURS_DATABASE, lambda: printing(ours, found.ours, "SUCCESS|FAILURE")),
        "watchtasks --json": (OURS_DATABASE, lambda: printing([*ours, "--json"], found.ours, '"state"')),
        "watchtasks --top 80x24": (OURS_DATABASE, lambda: drawing([*ours, "--top"], found.ours, 80, 24, counted)),
        "watchtasks --top 200x60": (OURS_DATABASE, lambda: drawing([*ours, "--top"], found.ours, 200, 60, counted)),
        "celery events --dump": (
            STOCK_DATABASE,
            lambda: printing([*stock, "--dump"], found.stock, "task (?:succeeded|failed)"),
        ),
        "celery events": (STOCK_DATABASE, lambda: drawing(stock, found.stock, 80, 24)),
        "flower": (STOCK_DATABASE, lambda: flower(found.stock)),
    }


def measure(name: str, found: Sites, rate: int, seconds: int, *, buffered: bool) -> Cost:
    """Let one side watch, and return what it has cost."""
    database, start = sides_of(found)[name]
    words = [broker_url(found.socket, database), str(rate), str(seconds), str(buffered)]
    with start() as watching:
        await_(watching.listens, f"{name} to listen")
        begin, before = time.monotonic(), used(watching.pid)
        load = subprocess.Popen([PYTHON, "-c", PUBLISHER, *words], env=environment(), stdout=subprocess.PIPE, text=True)
        time.sleep(seconds / 4)
        early = memory(watching.pid, "status", "VmRSS") or 0
        sent = int(load.communicate(timeout=seconds + LIMIT)[0])
        after, passed = used(watching.pid), time.monotonic() - begin
        deadline = time.monotonic() + REST
        while time.monotonic() < deadline and watching.seen() != sent:
            time.sleep(0.2)
        late = memory(watching.pid, "status", "VmRSS") or 0
        return Cost(
            name=name, sent=sent, seen=watching.seen(), time=100 * (after - before) / passed, early=early, late=late
        )


def main() -> int:
    """Measure, print, and return the exit code."""
    options = bare_parser(__doc__)
    options.add_argument("--seconds", type=positive, default=60, metavar="N", help="how long events come (60)")
    options.add_argument("--rate", type=positive, default=1000, metavar="N", help="tasks a second (1000)")
    options.add_argument("--buffered", action="store_true", help="send lists of events, as the prefork pool does")
    options.add_argument("--side", action="append", metavar="NAME", help="only this side; may be given again")
    given = options.parse_args()
    if not Path("/proc/self/status").exists():
        print("This benchmark reads /proc, which only Linux has.", file=sys.stderr)
        return 2
    how = "in lists" if given.buffered else "one by one"
    print_conditions(f"Watching {given.rate} tasks a second for {given.seconds} s, their events {how}")
    print(f"{'':24}  {'sent':>8} {'seen':>8} {'% of core':>9} {'MB early':>9} {'MB late':>9}")
    met = True
    with sites() as found:
        for name in given.side or sides_of(found):
            cost = measure(name, found, given.rate, given.seconds, buffered=given.buffered)
            seen = "-" if cost.seen is None else f"{cost.seen:,}"
            print(
                f"{name:24}  {cost.sent:8,} {seen:>8} {cost.time:9.1f} {cost.early:9.1f} {cost.late:9.1f}", flush=True
            )
            if name.startswith("watchtasks"):
                is_cheap = TARGET_TIME.met_by(cost.time) and TARGET_GROWTH.met_by(cost.late - cost.early)
                met = met and is_cheap and cost.seen == cost.sent
    print(f"\nTargets for ours: seen = sent, {TARGET_TIME}, growth {TARGET_GROWTH}: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
