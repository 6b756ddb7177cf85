"""What the record of failed tasks costs: the rate of two workers with and without it, in tasks a second.

    python -m benchmarks.failures [--pairs N] [--tasks N] [--share PART] [--database sqlite|postgresql] [--outage]

Of the tasks, PART fails, so that at the rate of the machine at least 10,000 fail in a minute; the others do nothing. How one
sample is taken:

1. The queue is filled, and the table is emptied.
2. Two workers (`runworker -c 1`) are started, both with TASKTOOLS_FAILED as the side says.
3. The time begins with the first look that finds the queue shorter, and ends with the first that finds no message in the
   queue, nor taken and not acknowledged (see benchmarks.drain). The workers are ended then.
4. With the record, each failure must be one row.

The rate depends on what else the machine does. The processor time of the workers, which is printed too, does so less; it
lacks what the database's own server takes.

`--outage` measures nothing: the database goes in the middle for 10 seconds (PostgreSQL is stopped; a SQLite file is locked). Each
task must have run once, and each failure must be a row in the end.

PostgreSQL is started in a folder of its own if its programs and psycopg are installed.
"""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import redis

from benchmarks.common import PYTHON, finished, folder, make_project, server, started, timed
from benchmarks.drain import LOOKS, copies, left, moment
from benchmarks.report import Side, Target, interleave, parser, report_ratio
from tests.servers import PostgreSQL

TARGET = Target(limit=0.95, at_least=True)

#: Of the issue.
FAILURES_A_MINUTE = 10_000
OUTAGE = 10.0

OPTIONS = ["-c", "1", "-l", "WARNING", "--without-mingle", "--without-gossip"]
QUEUE = "celery"

TASKS = """\
import os
from celery import shared_task

NOTES = os.environ.get("SHOP_NOTES")

def note():
    if NOTES:
        with open(f"{NOTES}/{os.getpid()}", "a") as file:
            file.write("x")

@shared_task(ignore_result=True)
def noop():
    note()

@shared_task(ignore_result=True)
def fail():
    note()
    raise ValueError("as it is meant to")
"""

SETTINGS = """
import os
TASKTOOLS_FAILED = os.environ.get("SHOP_RECORD") == "1"
TASKTOOLS_FAILED_LIMIT = None
"""

POSTGRESQL = """
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "HOST": {host!r},
        "PORT": {port},
        "USER": {user!r},
    }}
}}
"""

COUNT = "from tasktools.models import FailedTask; print(FailedTask.objects.count())"
EMPTY = "from tasktools.models import FailedTask; FailedTask.objects.all().delete()"


@dataclass(frozen=True)
class Shop:
    """A project with workers."""

    root: Path
    client: redis.Redis
    tasks: int
    failing: int
    messages: dict[str, bytes]
    #: Makes the database go and come back.
    outage: Callable[[], None]
    #: Of each sample, with the record and without: the processor time of both workers for each task, in milliseconds.
    spent: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})

    def fill(self) -> None:
        self.client.delete(QUEUE)
        self.shell(EMPTY)
        every = self.tasks // self.failing
        good = copies(self.messages["noop"], self.tasks - self.failing)
        bad = copies(self.messages["fail"], self.failing)
        mixed = [next(bad if number % every == 0 else good, None) for number in range(self.tasks)]
        sent = [each for each in mixed if each]
        self.client.lpush(QUEUE, *sent, *good, *bad)

    def shell(self, code: str) -> str:
        return finished([PYTHON, "manage.py", "shell", "--no-imports", "-c", code], self.root)[1]

    def rate(self, *, record: bool) -> float:
        """Have two workers do all tasks; return how many they did in a second."""
        self.fill()
        before = processor()
        with self.workers(record=record) as watched:
            begin = moment(watched, lambda: left(self.client)[0] < self.tasks, looks=1)
            end = moment(watched, lambda: not any(left(self.client)), looks=LOOKS)
        self.spent[record].append((processor() - before) / self.tasks * 1000)
        if record:
            require(int(self.shell(COUNT)), self.failing, "rows")
        rate = self.tasks / (end - begin)
        print(
            f"{'with' if record else 'without'}: {rate:.0f} tasks/s, {rate * 60 * self.failing / self.tasks:,.0f} failures/min"
        )
        return rate

    @contextlib.contextmanager
    def workers(self, *, record: bool, notes: str = "") -> Iterator[subprocess.Popen[bytes]]:
        command = [
            "env",
            f"SHOP_RECORD={int(record)}",
            f"SHOP_NOTES={notes}",
            PYTHON,
            "manage.py",
            "runworker",
            "--noreload",
        ]
        with tempfile.TemporaryFile() as output, contextlib.ExitStack() as stack:
            for name in ("one@here", "two@here"):
                watched = stack.enter_context(started([*command, *OPTIONS, "-n", name], self.root, output))
            yield watched
            stack.close()
            output.seek(0)
            said = [line for line in output.read().decode(errors="replace").splitlines() if "recorded" in line]
            print(*said, sep="\n", end="\n" if said else "")

    def survive(self) -> None:
        """Have the database gone in the middle, and check that nothing is lost."""
        self.fill()
        with tempfile.TemporaryDirectory() as notes:
            with self.workers(record=True, notes=notes) as watched:
                moment(watched, lambda: left(self.client)[0] < self.tasks * 0.9, looks=1)
                before = left(self.client)[0]
                self.outage()
                print(f"while the database was away: {before - left(self.client)[0]:,} tasks done")
                moment(watched, lambda: not any(left(self.client)), looks=LOOKS)
            require(sum(file.stat().st_size for file in Path(notes).iterdir()), self.tasks, "tasks run")
        require(int(self.shell(COUNT)), self.failing, "rows")


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__)
    options.add_argument("--tasks", type=int, default=10_000, metavar="N", help="tasks a sample (10000)")
    options.add_argument("--share", type=float, default=0.15, metavar="PART", help="how many of them fail (0.15)")
    options.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options.add_argument("--outage", action="store_true", help="have the database gone for 10 s, in place of measuring")
    given = options.parse_args()
    with shop(given.database, given.tasks, given.share) as made:
        if given.outage:
            made.survive()
            return 0
        ours = Side(name="with the record", sample=lambda: made.rate(record=True))
        without = Side(name="without", sample=lambda: made.rate(record=False))
        interleave([ours, without], given.pairs)
    title = f"{given.tasks} tasks, {made.failing} of them fail, two workers, {given.database}"
    is_met = report_ratio(title, ours, without, TARGET, "tasks/s")
    costs, bare = (each[1:] for each in (made.spent[True], made.spent[False]))  # the first is thrown away
    ratio = statistics.median(b / a for a, b in zip(costs, bare, strict=True))
    print(
        f"processor of both workers for each task, their start included: with {statistics.median(costs):.3f} ms, "
        f"without {statistics.median(bare):.3f} ms; without / with, median of the pairs: {ratio:.3f}"
    )
    return 0 if is_met else 1


@contextlib.contextmanager
def shop(database: str, tasks: int, share: float) -> Iterator[Shop]:
    with folder() as base, contextlib.ExitStack() as stack:
        settings, outage = SETTINGS, lambda: lock(base / "shop/db.sqlite3")
        if database == "postgresql":
            base.chmod(0o755)  # root runs it as another user
            cluster = stack.enter_context(PostgreSQL(base / "postgresql", durable=True))
            settings += POSTGRESQL.format(host=str(cluster.folder), port=cluster.port, user=cluster.user)
            outage = partial(go_and_come, cluster)
        root = make_project(base / "shop", ["django_extensions", "tasktools", "shop"], settings)
        (root / "shop/tasks.py").write_text(TASKS)
        client = redis.Redis(unix_socket_path=str(stack.enter_context(server(root))))
        timed([PYTHON, "manage.py", "migrate", "tasktools", "-v", "0"], root)
        messages = {name: sent(client, root, name) for name in ("noop", "fail")}
        yield Shop(root, client, tasks, max(1, int(tasks * share)), messages, outage)


def processor() -> float:
    """Return the processor time of the processes that this one has started and that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sent(client: redis.Redis, root: Path, name: str) -> bytes:
    timed([PYTHON, "manage.py", "shell", "--no-imports", "-c", f"from shop.tasks import {name}; {name}.delay()"], root)
    message = client.rpop(QUEUE)
    assert isinstance(message, bytes)
    return message


def lock(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(OUTAGE)
        connection.execute("ROLLBACK")


def go_and_come(server: PostgreSQL) -> None:
    server.stop()
    time.sleep(OUTAGE)
    server.start()


def require(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise SystemExit(f"{found:,} {what}, and {expected:,} were expected.")
    print(f"{found:,} {what}, as expected")


if __name__ == "__main__":
    sys.exit(main())
