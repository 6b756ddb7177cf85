"""The time of the whole process of `manage.py showworkers`, with workers of which some are stopped (SIGSTOP), in seconds.

    python -m benchmarks.showworkers [--rounds N] [--workers N] [--stopped N] [--stock] [--show WIDTH]

20 workers with solo pools, 5 of them stopped, unless you say otherwise. Each round counts only if it names all of them, and
the stopped ones as silent. For comparison: `celery -A proj status`, which waits a second and does not name those. With
--stock the workers are those of `celery worker`, else of `runworker`. --show prints the table once, as a terminal of that
width shows it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.common import (
    LIMIT,
    PYTHON,
    await_,
    broker_url,
    environment,
    finished,
    make_stock_project,
    program,
    sites,
)
from benchmarks.report import parser

#: The most that a whole process may take, in seconds.
TARGET = 1.5

#: So many workers start at once: each takes a core for a second.
AT_ONCE = 4


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--workers", type=int, default=20)
    options.add_argument("--stopped", type=int, default=5)
    options.add_argument("--stock", action="store_true")
    options.add_argument("--show", type=int, metavar="WIDTH")
    given = options.parse_args()
    with sites() as both:
        root = both.stock if given.stock else both.ours
        with workers(root, given.workers, stock=given.stock) as started:
            look = both.ours
            if given.stock:
                look = _beside(both.ours.parent / "look", broker_url(both.socket, 1))
            for process in started[: given.stopped]:
                os.killpg(process.pid, signal.SIGSTOP)
            if given.show:
                show(look, given.show)
            ours = [sample(look, given.workers, given.stopped) for _ in range(given.rounds)]
            stock = [status(look if given.stock else both.ours) for _ in range(min(5, given.rounds))]
    median, worst = statistics.median(ours), max(ours)
    print(
        f"showworkers, {given.workers} workers, {given.stopped} stopped: median {median:.2f} s, longest {worst:.2f} s"
    )
    print(f"celery status, the same workers: median {statistics.median(stock):.2f} s")
    print(f"target: longest < {TARGET} s: {'met' if worst < TARGET else 'MISSED'}")
    return 0 if worst < TARGET else 1


@contextlib.contextmanager
def workers(root: Path, number: int, *, stock: bool):  # type: ignore[no-untyped-def]
    """Start workers, and kill them in the end: those that are stopped hear no other signal."""
    command = [program("celery"), "-A", "proj", "worker"] if stock else [PYTHON, "manage.py", "runworker", "--noreload"]
    words = [*command, "-P", "solo", "-l", "INFO", "--without-mingle", "--without-gossip"]
    started: list[subprocess.Popen[bytes]] = []
    logs = [root / f"worker-{index}.log" for index in range(number)]
    try:
        for index, log in enumerate(logs):
            with log.open("wb") as output:
                started.append(
                    subprocess.Popen(
                        [*words, "-n", f"w{index:02}@bench"],
                        cwd=root,
                        env=environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                    )
                )
            if index >= AT_ONCE - 1:
                earlier = logs[index - AT_ONCE + 1]
                await_(lambda: b" ready." in earlier.read_bytes(), f"{earlier.name}")  # noqa: B023 - called at once
        await_(lambda: all(b" ready." in log.read_bytes() for log in logs), "the workers")
        yield started
    finally:
        for process in started:
            processes.kill(processes.groups(process.pid))
            process.wait(LIMIT)


def sample(root: Path, number: int, stopped: int) -> float:
    """Return how long one call took, in seconds. Raises RuntimeError when it does not say what is."""
    seconds, printed = finished([PYTHON, "manage.py", "showworkers", "--json"], root)
    found = json.loads(printed)["workers"]
    states = [each["state"] for each in found]
    if len(found) != number or states.count("silent") != stopped or states.count("online") != number - stopped:
        raise RuntimeError(f"{number} workers, {stopped} stopped, and it says {states}.")
    return seconds


def status(root: Path) -> float:
    """Return how long `celery status` took, in seconds."""
    app = "tasktools.celery:app" if not (root / "proj/celery.py").exists() else "proj"
    begin = time.perf_counter()
    subprocess.run(
        [PYTHON, "manage.py", "celery", "status"] if app != "proj" else [program("celery"), "-A", app, "status"],
        cwd=root,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    return time.perf_counter() - begin


def show(root: Path, width: int) -> None:
    """Print what a terminal of that width shows."""
    import pexpect

    command = [PYTHON, "manage.py", "showworkers", "--tasks"]
    child = pexpect.spawn(
        command[0], command[1:], cwd=root, env=environment(), dimensions=(60, width), encoding="utf-8"
    )
    child.expect(pexpect.EOF, timeout=LIMIT)
    print(child.before)


def _beside(root: Path, url: str) -> Path:
    """Make a stock project with tasktools, which looks at the workers of the one without."""
    made = make_stock_project(root, url)
    with (made / "proj/settings.py").open("a") as file:
        file.write('\nINSTALLED_APPS += ["tasktools"]\n')
    return made


if __name__ == "__main__":
    sys.exit(main())
