"""What the warnings of development add to a call of `.delay()`, in microseconds a call.

    python -m benchmarks.warnings_cost [--pairs N]

One project whose broker is in memory. A sample is a process that calls `.delay()` 20,000 times, with a database
connection open, and with the three warnings on or off.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.common import PYTHON, finished, folder, make_project
from benchmarks.report import Side, Target, interleave, parser, report_difference

TARGET = Target(limit=20, unit="us")

SETTINGS = """\
CELERY_BROKER_URL = "memory://"
TASKTOOLS_WARN_MODEL_ARGUMENTS = TASKTOOLS_WARN_TRANSACTION = TASKTOOLS_WARN_WAITING = True
"""

SCRIPT = """\
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

from django.conf import settings
from django.db import connection
from shop.tasks import add

settings.TASKTOOLS_WARN_MODEL_ARGUMENTS = settings.TASKTOOLS_WARN_TRANSACTION = sys.argv[1] == "on"
if sys.argv[1] == "bare":
    from celery import Celery, Task

    Task.apply_async, Celery.send_task = Task.apply_async.__wrapped__, Celery.send_task.__wrapped__
connection.ensure_connection()
add.delay(1, 2)
begin = time.perf_counter()
for number in range(20_000):
    add.delay(number, [number, "text"])
print((time.perf_counter() - begin) / 20_000 * 1e6)
"""


def main() -> int:
    """Measure, print, and return the exit code."""
    pairs = parser(__doc__).parse_args().pairs
    with folder() as root:
        project = make_project(root / "ours", ["tasktools", "shop"], SETTINGS)
        (project / "calls.py").write_text(SCRIPT)
        on = Side(name="warnings on", sample=lambda: _call(project, "on"))
        bare = Side(name="Celery's own methods", sample=lambda: _call(project, "bare"))
        interleave([on, bare], pairs)
    return 0 if report_difference("One call of .delay()", on, bare, TARGET, "us") else 1


def _call(project: Path, side: str) -> float:
    return float(finished([PYTHON, "calls.py", side], project)[1])


if __name__ == "__main__":
    sys.exit(main())
