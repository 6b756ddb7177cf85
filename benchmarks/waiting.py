"""How long after a plain script the command prints the result for which both wait; and 1,000 results against one join.

    python -m benchmarks.waiting [--pairs N] [--tasks 1000]

Both run in the same project, with tasktools in INSTALLED_APPS, on its private Valkey. In each pair both processes are started
and wait for one task; when both listen, its result is stored, and it is timed when each has printed it. Then each alone waits
for many tasks, of which all results are stored by one pipeline when it listens: from there to the last line that it prints.
The end of the process does not count: that of a script that has waited for results takes long.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import redis

from benchmarks.common import LIMIT, PYTHON, await_, environment, folder, make_project, server
from benchmarks.report import Side, Target, parser, report_ratio

_SETUP = """\
import os, sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

from celery.result import AsyncResult, ResultSet

"""

SCRIPTS = {
    "one.py": f"{_SETUP}print(AsyncResult(sys.argv[1]).get(timeout=60), flush=True)\n",
    "many.py": f"{_SETUP}print(ResultSet([AsyncResult(each) for each in sys.argv[1:]]).join_native(timeout=60), flush=True)\n",
}

#: The prefix of Celery's keys of results, and of the channels of the same names.
KEY = "celery-task-meta-"


def main() -> int:
    """Measure, print, and return the exit code."""
    options = _parser().parse_args()
    with folder() as root:
        project = make_project(root / "proj", ["tasktools", "shop"])
        for name, text in SCRIPTS.items():
            (project / name).write_text(text)
        with server(project) as socket, redis.Redis(unix_socket_path=str(socket)) as client:
            met = [one_task(project, client, options.pairs), many_tasks(project, client, options.pairs, options.tasks)]
    return 0 if all(met) else 1


def _parser():  # type: ignore[no-untyped-def]
    made = parser(__doc__)
    made.add_argument("--tasks", type=int, default=1_000, help="how many tasks are waited for at once")
    return made


def one_task(project: Path, client: redis.Redis, pairs: int) -> bool:
    """Measure how much later than the script the command prints the result, print, and return whether the target was met."""
    late = []
    for number in range(pairs + 1):
        ours, other = together(project, client, [str(uuid.uuid4())], "one.py", reverse=number % 2 == 1)
        if number:  # the first pair reads everything from the disk
            late.append(ours - other)
    late.sort()
    middle = late[len(late) // 2]
    print(f"One result, printed by ours after the script: median {middle * 1e3:.1f} ms", end=", ")
    print(
        f"middle half {late[len(late) // 4] * 1e3:.1f} to {late[len(late) * 3 // 4] * 1e3:.1f} ms, {len(late)} pairs,",
        end=" ",
    )
    print(f"target <= 10 ms: {'met' if middle <= 0.01 else 'missed'}")
    return middle <= 0.01


def many_tasks(project: Path, client: redis.Redis, pairs: int, number: int) -> bool:
    """Measure both with many tasks, one process alone at a time, print, and return whether the target was met."""
    sides = [
        Side(name="manage.py taskresult --wait", sample=lambda: alone(project, client, "", number)),
        Side(name="ResultSet.join_native", sample=lambda: alone(project, client, "many.py", number)),
    ]
    for each in range(pairs + 1):
        for side in sides if each % 2 else sides[::-1]:
            sample = side.sample()
            if each:
                side.samples.append(sample)
    return report_ratio(f"{number:,} results", *sides, Target(limit=1.2), "s")


def alone(project: Path, client: redis.Redis, script: str, number: int) -> float:
    """Return how long after all results were stored a process that waits for them has printed the last."""
    ids = [str(uuid.uuid4()) for _ in range(number)]
    with waiting(project, client, ids, script, 1) as process:
        begun = store(client, ids)
        return printed(process, 1 if script else number) - begun


def together(
    project: Path, client: redis.Redis, ids: Sequence[str], script: str, *, reverse: bool
) -> tuple[float, float]:
    """Return how long after the result was stored our process printed it, and the script, which waits at the same time."""
    names = [script, ""] if reverse else ["", script]
    ends: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        processes = {
            name: stack.enter_context(waiting(project, client, ids, name, count)) for count, name in enumerate(names, 1)
        }
        watchers = [
            threading.Thread(target=lambda name=name, process=process: ends.update({name: printed(process, 1)}))
            for name, process in processes.items()
        ]
        for each in watchers:
            each.start()
        begun = store(client, ids)
        for each in watchers:
            each.join(LIMIT)
    return ends[""] - begun, ends[script] - begun


@contextlib.contextmanager
def waiting(
    project: Path, client: redis.Redis, ids: Sequence[str], script: str, count: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Start our command, or a script, and yield it when `count` processes listen to the last of the tasks."""
    words = [script, *ids] if script else ["manage.py", "taskresult", "--wait", *ids]
    process = subprocess.Popen(
        [PYTHON, *words], cwd=project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        channel = KEY + ids[-1]
        await_(lambda: client.pubsub_numsub(channel)[0][1] >= count, "a process to listen")
        time.sleep(0.3)  # until it has looked for what is there already
        yield process
    finally:
        process.kill()
        process.communicate()


def store(client: redis.Redis, ids: Sequence[str]) -> float:
    """Store a result for each task as a worker does, and return when."""
    begun = time.perf_counter()
    with client.pipeline(transaction=False) as pipeline:
        for each in ids:
            value = json.dumps(
                {
                    "status": "SUCCESS",
                    "result": 4,
                    "traceback": None,
                    "children": [],
                    "date_done": None,
                    "task_id": each,
                }
            )
            pipeline.set(KEY + each, value, ex=3600)
            pipeline.publish(KEY + each, value)
        pipeline.execute()
    return begun


def printed(process: subprocess.Popen[bytes], lines: int) -> float:
    """Return when a process has printed so many lines. Raises RuntimeError if it has not."""
    assert process.stdout is not None
    for _ in range(lines):
        if not process.stdout.readline():
            raise RuntimeError(f"{process.args!r:.200} ended with {process.wait(LIMIT)}.")
    return time.perf_counter()


if __name__ == "__main__":
    sys.exit(main())
