"""`manage.py enqueue add 2 2` against the script that one writes by hand instead, whole processes, in seconds.

    python -m benchmarks.enqueue [--pairs N]

Both run in the same project, with tasktools in INSTALLED_APPS, on its private Valkey, which runs already. A run whose
calls have not all come to the queue is void.
"""

from __future__ import annotations

import sys
from pathlib import Path

import redis

from benchmarks.common import PYTHON, folder, make_project, server, timed
from benchmarks.report import Side, Target, interleave, parser, report_ratio

TARGET = Target(limit=1.05)

SCRIPT = """\
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

from shop.tasks import add

add.delay(2, 2)
"""


def main() -> int:
    """Measure, print, and return the exit code."""
    pairs = parser(__doc__).parse_args().pairs
    with folder() as root:
        project = make_project(root / "proj", ["tasktools", "shop"])
        (project / "send.py").write_text(SCRIPT)
        with server(project) as socket:
            ours = Side(
                name="manage.py enqueue",
                sample=lambda: timed([PYTHON, "manage.py", "enqueue", "add", "2", "2"], project),
            )
            script = Side(name="script with add.delay", sample=lambda: timed([PYTHON, "send.py"], project))
            interleave([ours, script], pairs)
            require_messages(socket, 2 * (pairs + 1))
    met = report_ratio("Send one task, whole process", ours, script, TARGET, "s")
    return 0 if met else 1


def require_messages(socket: Path, number: int) -> None:
    """Raise RuntimeError unless `number` messages lie in the queue."""
    with redis.Redis(unix_socket_path=str(socket)) as client:
        found = client.llen("celery")
    if found != number:
        raise RuntimeError(f"{found} messages came to the queue, not {number}.")


if __name__ == "__main__":
    sys.exit(main())
