"""The rate at which a worker empties a queue: `manage.py runworker` against `celery -A proj worker`, in tasks a second.

    python -m benchmarks.drain [--pairs N] [--tasks N]

The tasks do nothing and keep no result. The sites are those of worker_start. How one sample is taken:

1. Both databases are emptied, and the queue is filled with copies of one message that the side's own `noop.delay()` has
   sent, each with an id and a delivery tag of its own.
2. The worker is started. Every 5 ms the length of the queue and the number of messages that are taken but not acknowledged
   (kombu's hash `unacked`) are read at one moment.
3. The time begins with the first look that finds the queue shorter, and ends with the first that finds no message in
   either place, if the next three find none as well: between leaving the queue and coming to `unacked` a message is
   in neither for an instant.
4. The rate is the number of tasks by that time, so the start of the worker does not count.

A message is acknowledged when a process of the pool has taken the task, so that at the end at most the last task of each
process is still running: with tasks that do nothing less than a millisecond of seconds. Looking costs both sides alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import redis

from benchmarks.common import (
    LIMIT,
    OURS_DATABASE,
    PYTHON,
    STOCK_DATABASE,
    Sites,
    program,
    sites,
    started,
    timed,
)
from benchmarks.report import Side, Target, interleave, parser, report_ratio

TARGET = Target(limit=0.97, at_least=True)

OPTIONS = ["-c", "2", "-l", "WARNING", "--without-mingle", "--without-gossip"]

QUEUE = "celery"
UNACKED = "unacked"

#: Seconds between two looks.
PERIOD = 0.005

#: How many looks must find nothing for a queue to be empty.
LOOKS = 4

SEND = "from shop.tasks import noop; noop.delay()"


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__)
    options.add_argument("--tasks", type=int, default=10_000, metavar="N", help="tasks a sample (10000)")
    given = options.parse_args()
    with sites() as both:
        runworker = [PYTHON, "manage.py", "runworker", "--noreload", *OPTIONS]
        worker = [program("celery"), "-A", "proj", "worker", *OPTIONS]
        ours = Side(name="manage.py runworker", sample=sampler(both, both.ours, OURS_DATABASE, runworker, given.tasks))
        stock = Side(
            name="celery -A proj worker", sample=sampler(both, both.stock, STOCK_DATABASE, worker, given.tasks)
        )
        interleave([ours, stock], given.pairs)
    title = f"Drain {given.tasks} tasks that do nothing: {' '.join(OPTIONS)}"
    return 0 if report_ratio(title, ours, stock, TARGET, "tasks/s") else 1


def sampler(both: Sites, root: Path, database: int, command: Sequence[str], number: int) -> Callable[[], float]:
    """Return what takes one sample of a side."""
    client = both.client(database)
    message = sent_message(client, root)

    def sample() -> float:
        both.clear()
        client.lpush(QUEUE, *copies(message, number))
        return drain(client, command, root, number)

    return sample


def sent_message(client: redis.Redis, root: Path) -> bytes:
    """Have the project in `root` send one task; take its message off the queue and return it."""
    timed([PYTHON, "manage.py", "shell", "--no-imports", "-c", SEND], root)
    message = client.rpop(QUEUE)
    if not isinstance(message, bytes) or client.llen(QUEUE):
        raise RuntimeError(f"{root.name} did not send one message to the queue {QUEUE}.")
    return message


def copies(message: bytes, number: int) -> Iterator[bytes]:
    """Yield copies of a message of kombu (JSON), each with an id and a delivery tag of its own."""
    read = json.loads(message)
    old_id, old_tag = read["headers"]["id"].encode(), read["properties"]["delivery_tag"].encode()
    for _ in range(number):
        yield message.replace(old_id, str(uuid.uuid4()).encode()).replace(old_tag, str(uuid.uuid4()).encode())


def drain(client: redis.Redis, command: Sequence[str], root: Path, number: int) -> float:
    """Start a worker on a queue of `number` messages, end it when it has done them, and return its rate a second."""
    with tempfile.TemporaryFile() as output, started(command, root, output) as worker:
        begin = moment(worker, lambda: left(client)[0] < number, looks=1)
        end = moment(worker, lambda: not any(left(client)), looks=LOOKS)
    return number / (end - begin)


def moment(worker: subprocess.Popen[bytes], seen: Callable[[], bool], *, looks: int) -> float:
    """Return the time (perf_counter) of the first of `looks` looks in a row that find `seen` true.

    Raises RuntimeError when the worker ends before, or after LIMIT seconds.
    """
    deadline = time.perf_counter() + LIMIT
    found: list[float] = []
    while len(found) < looks:
        now = time.perf_counter()
        found = [*found, now] if seen() else []
        if worker.poll() is not None or now > deadline:
            raise RuntimeError(f"The worker has not emptied the queue; its exit code is {worker.returncode}.")
        time.sleep(PERIOD)
    return found[0]


def left(client: redis.Redis) -> tuple[int, int]:
    """Return how many messages lie in the queue, and how many are taken and not acknowledged."""
    with client.pipeline(transaction=True) as both:
        both.llen(QUEUE)
        both.hlen(UNACKED)
        queued, taken = both.execute()
    return queued, taken


if __name__ == "__main__":
    sys.exit(main())
