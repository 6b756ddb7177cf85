"""When this process began."""

from __future__ import annotations

import os
import time

#: The largest error of both clocks, in seconds. Python itself needs longer to reach the first module of a project.
_CLOCK_TICKS = 0.02


def began() -> float:
    """Return when this process began, as time.time(). Without /proc, it takes the CPU time as its age."""
    try:
        with open("/proc/uptime") as uptime, open("/proc/self/stat") as stat:
            ticks = int(stat.read().rpartition(")")[2].split()[19])  # field 22 of proc(5), starttime
            age = float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
            return time.time() - age + _CLOCK_TICKS
    except (OSError, ValueError, IndexError):
        return time.time() - time.process_time()
