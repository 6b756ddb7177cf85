"""What tasktools adds to `manage.py check` of a project without tasks, whole processes, in seconds.

    python -m benchmarks.check_overhead [--pairs N]

Two projects as `django-admin startproject` makes them, one with tasktools in INSTALLED_APPS. No
server is asked by either.
"""

from __future__ import annotations

import sys

from benchmarks.common import PYTHON, folder, make_project, timed
from benchmarks.report import Side, Target, interleave, parser, report_difference

TARGET = Target(limit=0.12, unit="s")


def main() -> int:
    """Measure, print, and return the exit code."""
    pairs = parser(__doc__).parse_args().pairs
    command = [PYTHON, "manage.py", "check"]
    with folder() as root:
        installed = make_project(root / "ours", ["tasktools"])
        bare = make_project(root / "stock", [])
        ours = Side(name="with tasktools", sample=lambda: timed(command, installed))
        without = Side(name="without", sample=lambda: timed(command, bare))
        interleave([ours, without], pairs)
    return 0 if report_difference("manage.py check of a project without tasks", ours, without, TARGET, "s") else 1


if __name__ == "__main__":
    sys.exit(main())
