"""The memory of `manage.py enqueue add --from FILE`: with 1,000,000 lines against 1,000, in MB.

    python -m benchmarks.bulk_memory [--rounds N] [--lines N]

It is the largest resident set of the process (ru_maxrss), which the kernel tells when the process has ended, in millions of
bytes. All calls must have come to the queue. The private Valkey keeps them all: it needs about a gigabyte for a million, as
much on the disk, and is emptied before each run.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.bulk import QUEUE, write_lines
from benchmarks.common import LIMIT, OURS_DATABASE, PYTHON, Sites, environment, sites
from benchmarks.report import Side, Target, interleave, parser, positive, report_difference

TARGET = Target(limit=30, unit="MB")

MANY = 1_000_000
FEW = 1_000
ROUNDS = 3

#: Bytes in the kernel's unit of ru_maxrss.
UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__, "rounds", ROUNDS)
    options.add_argument("--lines", type=positive, default=MANY, metavar="N", help=f"lines of the long file ({MANY})")
    given = options.parse_args()
    with sites() as both:
        many, few = (
            Side(name=f"{lines:,} lines", sample=sampler(both, both.ours / f"calls-{lines}.jsonl", lines))
            for lines in (given.lines, FEW)
        )
        interleave([many, few], given.rounds)
    title = "Largest resident set of manage.py enqueue --from"
    return 0 if report_difference(title, many, few, TARGET, "MB") else 1


def sampler(both: Sites, path: Path, lines: int) -> Callable[[], float]:
    """Return what takes one sample of a file with so many lines."""
    write_lines(path, lines)

    def sample() -> float:
        both.clear()
        peak = peak_of([PYTHON, "manage.py", "enqueue", "add", "--from", str(path)], both.ours)
        with both.client(OURS_DATABASE) as client:
            found = client.llen(QUEUE)
        if found != lines:
            raise RuntimeError(f"{found} messages came to the queue {QUEUE}, not {lines}.")
        return peak

    return sample


def peak_of(command: Sequence[str], root: Path) -> float:
    """Run a command in `root` to its end, and return the largest resident set that it had, in MB.

    It is killed after LIMIT seconds.

    Raises RuntimeError when it fails, or when this process is the larger one: until a started process runs its program it
    is a copy of this one, which counts for Linux.
    """
    process = subprocess.Popen(
        command, cwd=root, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sys.stderr
    )
    watchdog = threading.Timer(LIMIT, process.kill)
    watchdog.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        watchdog.cancel()
        if process.returncode is None:
            process.kill()
            process.wait()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}.")
    if used.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise RuntimeError("This process is larger than the one that is measured.")
    return used.ru_maxrss * UNIT / 1e6


if __name__ == "__main__":
    sys.exit(main())
