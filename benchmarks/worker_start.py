"""From the start of the process to the line " ready.": `manage.py runworker` against `celery -A proj worker`, in seconds.

    python -m benchmarks.worker_start [--pairs N] [-- OPTIONS of celery worker]

Without options it is measured three times:

1. as both are started in development, with the defaults of each: runworker reloads, and then takes no part in mingle and
   gossip, for which a stock worker waits a second;
2. with `-c 2`, runworker with --noreload;
3. with `-c 2 --without-mingle --without-gossip`, runworker with --noreload.

With options, both get these, and runworker --noreload. `-l INFO`, without which no worker says that it is ready, is always
there. The stock side is a site of its own, without tasktools, with the celery.py of Celery's pages for Django. One server
serves both, with a database for each side, emptied before each start. A worker is ended, and has ended, before the next one
starts.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import PYTHON, Sites, program, sites, started
from benchmarks.report import Side, Target, interleave, parser, report_ratio

#: The same worker.
TARGET = Target(limit=1.05)
#: One that reloads, against one that takes its time.
TARGET_DEFAULTS = Target(limit=0.45)


@dataclass(frozen=True, kw_only=True)
class Case:
    """The options of both sides; ours has `own` besides."""

    words: Sequence[str]
    own: Sequence[str] = ("--noreload",)
    target: Target = TARGET


CASES = (
    Case(words=[], own=[], target=TARGET_DEFAULTS),
    Case(words=["-c", "2"]),
    Case(words=["-c", "2", "--without-mingle", "--without-gossip"]),
)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__)
    options.add_argument("options", nargs="*", metavar="OPTION", help="options of celery worker, behind --")
    given = options.parse_args()
    cases = [Case(words=given.options)] if given.options else CASES
    with sites() as both:
        met = [compare(both, case, given.pairs) for case in cases]
    return 0 if all(met) else 1


def compare(both: Sites, case: Case, pairs: int) -> bool:
    """Measure both sides, print the table, and return whether the target was met."""
    words = ["-l", "INFO", *case.words]
    runworker = [PYTHON, "manage.py", "runworker", *words, *case.own]
    worker = [program("celery"), "-A", "proj", "worker", *words]
    name = " ".join(["manage.py runworker", *case.own])
    ours = Side(name=name, sample=lambda: start(both, both.ours, runworker))
    stock = Side(name="celery -A proj worker", sample=lambda: start(both, both.stock, worker))
    interleave([ours, stock], pairs)
    return report_ratio(f"Start a worker: {' '.join(words)}", ours, stock, case.target, "s")


def start(both: Sites, root: Path, command: Sequence[str]) -> float:
    """Start a worker, end it, and return how long it took to be ready, in seconds."""
    both.clear()
    begin = time.perf_counter()
    with started(command, root, subprocess.PIPE) as worker:
        await_ready(worker)
        return time.perf_counter() - begin


def await_ready(worker: subprocess.Popen[bytes]) -> None:
    """Read what a worker prints until it is ready. Raises RuntimeError when it ends before."""
    assert worker.stdout is not None
    seen = []
    for line in worker.stdout:
        seen.append(line)
        if line.endswith(b" ready.\n"):
            return
    raise RuntimeError(b"".join([b"The worker ended too early:\n", *seen]).decode(errors="replace"))


if __name__ == "__main__":
    sys.exit(main())
