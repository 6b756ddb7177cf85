"""What the process that watches the files costs while nothing changes: memory in MB, and time in % of a core.

    python -m benchmarks.supervisor_cost [--seconds N] [--files N]

It is the parent process alone, without the worker that it looks after. `manage.py runworker`, `watchfiles` and `watchmedo
auto-restart` run at the same time, and are idle. Memory is VmRSS, and Pss, which counts what processes share in parts, both
in millions of bytes at the end of that time. It reads /proc and so needs Linux.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reloaders import OPTIONS, reloaders
from benchmarks.report import Target, bare_parser, positive, print_conditions, verdict

TARGET_MEMORY = Target(limit=20, unit="MB")
TARGET_TIME = Target(limit=0.5, unit="% of a core")

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one parent process costs."""

    name: str
    #: In MB.
    resident: float
    #: In MB; None where the kernel does not tell.
    proportional: float | None
    #: In % of a core.
    time: float


def main() -> int:
    """Measure, print, and return the exit code."""
    options = bare_parser(__doc__)
    options.add_argument("--seconds", type=positive, default=60, metavar="N", help="how long to look (60)")
    options.add_argument("--files", type=int, default=0, metavar="N", help="further .py files in each project (0)")
    given = options.parse_args()
    if not Path("/proc/self/status").exists():
        print("This benchmark reads /proc, which only Linux has.", file=sys.stderr)
        return 2
    costs = measure(given.seconds, given.files)
    print_costs(f"The parent of {' '.join(OPTIONS)}, idle for {given.seconds} s, {given.files} further files", costs)
    ours = costs[0]
    met = verdict(ours.resident, TARGET_MEMORY)
    return 0 if verdict(ours.time, TARGET_TIME) and met else 1


def measure(seconds: int, files: int) -> list[Cost]:
    """Run the three for `seconds`, and return what each has cost."""
    with reloaders(files) as running:
        pids = {each.name: each.process.pid for each in running}
        begin, before = time.monotonic(), {pid: used(pid) for pid in pids.values()}
        time.sleep(seconds)
        after, passed = {pid: used(pid) for pid in pids.values()}, time.monotonic() - begin
        return [
            Cost(
                name=name,
                resident=memory(pid, "status", "VmRSS") or 0,
                proportional=memory(pid, "smaps_rollup", "Pss"),
                time=100 * (after[pid] - before[pid]) / passed,
            )
            for name, pid in pids.items()
        ]


def used(pid: int) -> float:
    """Return the processor time that a process has used, with all its threads, in seconds."""
    # The name, in brackets, may hold spaces. utime and stime are the fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int, file: str, field: str) -> float | None:
    """Return a figure of /proc in MB; None where it is not told."""
    try:
        text = Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else None


def print_costs(title: str, costs: Sequence[Cost]) -> None:
    """Print the table."""
    width = max(len(each.name) for each in costs)
    print_conditions(title)
    print(f"{'':{width}}  {'VmRSS MB':>9} {'Pss MB':>9} {'% of core':>9}")
    for each in costs:
        shared = "" if each.proportional is None else f"{each.proportional:.1f}"
        print(f"{each.name:{width}}  {each.resident:9.1f} {shared:>9} {each.time:9.3f}")
    print()


if __name__ == "__main__":
    sys.exit(main())
