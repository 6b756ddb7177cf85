"""What a probe costs: wall time, processor time and memory of `python -m tasktools.probe worker`, beside Celery's own question.

    python -m benchmarks.probe [--times 50]

The package is copied into a folder of its own, as pip installs it: an editable installation costs every Python more.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "tasktools"

#: What a probe may cost: seconds of wall time, and megabytes.
MOST_SECONDS, MOST_MEMORY = 0.05, 25.0


def measured(
    command: list[str], environment: dict[str, str], folder: Path, times: int
) -> tuple[list[float], list[float], float]:
    """Return the wall times and processor times in seconds, and the memory in megabytes."""
    walls, used, memory = [], [], 0.0
    for _ in range(times):
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        walls.append(time.monotonic() - began)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"it ended with {process.returncode}"
        used.append(usage.ru_utime + usage.ru_stime)
        memory = max(memory, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024))
    return walls, used, memory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        shutil.copytree(PACKAGE, folder / "packages/tasktools")
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder / "packages"),
            "TASKTOOLS_PROBE_DIR": str(folder / "probes"),
        }
        files = folder / "probes"
        files.mkdir(mode=0o700)
        (files / "worker-celery@web1").write_text(f"alive\ncelery@web1\n{os.getpid()}\n\n")
        base = getattr(sys, "_base_executable", sys.executable)  # without the virtual environment and its .pth files
        commands = {
            "python -c pass": [base, "-c", "pass"],
            "the probe": [base, "-m", "tasktools.probe", "worker", "--max-age", "1h"],
        }
        for what, command in commands.items():
            walls, used, memory = measured(command, environment, folder, times)
            print(
                f"{what:<16} wall: median {statistics.median(walls):.3f} s, worst {max(walls):.3f} s; "
                f"processor: median {statistics.median(used):.3f} s; memory: {memory:.1f} MB"
            )
    return int(statistics.median(walls) > MOST_SECONDS or memory > MOST_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
