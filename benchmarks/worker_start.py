"""From the start of the process to the line " ready.": `manage.py runworker` against `celery -A proj worker`, in seconds.

    python -m benchmarks.worker_start [--pairs N] [-- OPTIONS of celery worker]

Without options it is measured twice: with `-c 2`, and with `-c 2 --without-mingle --without-gossip` (mingle waits a second
for other workers to answer). The stock side is a site of its own, without tasktools, with the celery.py of Celery's pages
for Django. One server serves both, with a database for each side, emptied before each start. A worker is ended, and has
ended, before the next one starts.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import PYTHON, Sites, celery_program, sites, started
from benchmarks.report import Side, Target, interleave, parser, report_ratio

TARGET = Target(limit=1.05)

OPTION_SETS = (["-c", "2"], ["-c", "2", "--without-mingle", "--without-gossip"])


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__)
    options.add_argument("options", nargs="*", metavar="OPTION", help="options of celery worker, behind --")
    given = options.parse_args()
    sets = [given.options] if given.options else OPTION_SETS
    with sites() as both:
        met = [compare(both, words, given.pairs) for words in sets]
    return 0 if all(met) else 1


def compare(both: Sites, options: Sequence[str], pairs: int) -> bool:
    """Measure both sides with the same options, print the table, and return whether the target was met."""
    words = ["-l", "INFO", *options]
    ours = Side(
        name="manage.py runworker", sample=lambda: start(both, both.ours, [PYTHON, "manage.py", "runworker", *words])
    )
    stock = Side(
        name="celery -A proj worker",
        sample=lambda: start(both, both.stock, [celery_program(), "-A", "proj", "worker", *words]),
    )
    interleave(ours, stock, pairs)
    return report_ratio(f"Start a worker: {' '.join(words)}", ours, stock, TARGET, "s")


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
