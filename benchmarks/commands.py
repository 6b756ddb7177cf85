"""The short commands against what one types or writes instead, whole processes, in seconds.

    python -m benchmarks.commands [--pairs N]

All run in the same project, with tasktools in INSTALLED_APPS, on its private Valkey, which runs already. `enqueue` and
`taskresult` are compared with scripts of a few lines, `showtasks` and `completion`, for which there is no script, with
`manage.py check --list-tags`, which starts Django and runs no check. A run in which not each call has come to the queue is void.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import redis

from benchmarks.common import PYTHON, finished, folder, make_project, server, timed
from benchmarks.report import Side, Target, interleave, parser, report_ratio

_SETUP = """\
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

"""

SCRIPTS = {
    "send.py": f"{_SETUP}from shop.tasks import add\n\nadd.delay(2, 2)\n",
    "result.py": f"{_SETUP}from celery.result import AsyncResult\n\nprint(AsyncResult('done').get(timeout=10))\n",
    "store.py": f"{_SETUP}from celery import current_app\n\ncurrent_app.backend.store_result('done', 4, 'SUCCESS')\n",
}


def main() -> int:
    """Measure, print, and return the exit code."""
    pairs = parser(__doc__).parse_args().pairs
    with folder() as root:
        project = make_project(root / "proj", ["tasktools", "shop"])
        for name, text in SCRIPTS.items():
            (project / name).write_text(text)
        with server(project) as socket:
            finished([PYTHON, "store.py"], project)
            met = [measured(project, pairs, *each) for each in comparisons()]
            require_messages(socket, 2 * (pairs + 1))
    return 0 if all(met) else 1


def comparisons() -> Iterator[tuple[str, list[str], list[str], float]]:
    """Yield the title, our words, the other words, and the largest ratio."""
    start = ["manage.py", "check", "--list-tags"]
    yield "Send one task", ["manage.py", "enqueue", "add", "2", "2"], ["send.py"], 1.0
    yield "Print one result", ["manage.py", "taskresult", "done"], ["result.py"], 1.05
    yield "List the tasks", ["manage.py", "showtasks"], start, 1.05
    yield "Complete a name", ["manage.py", "completion", "--words", "manage.py", "enqueue", "a"], start, 1.05


def measured(project: Path, pairs: int, title: str, ours: list[str], other: list[str], limit: float) -> bool:
    """Measure two commands in turn, print, and return whether the target was met."""
    sides = [
        Side(name=" ".join(words), sample=lambda words=words: timed([PYTHON, *words], project))  # type: ignore[misc]
        for words in (ours, other)
    ]
    interleave(sides, pairs)
    return report_ratio(f"{title}, whole process", *sides, Target(limit=limit), "s")


def require_messages(socket: Path, number: int) -> None:
    """Raise RuntimeError unless `number` messages lie in the queue."""
    with redis.Redis(unix_socket_path=str(socket)) as client:
        found = client.llen("celery")
    if found != number:
        raise RuntimeError(f"{found} messages came to the queue, not {number}.")


if __name__ == "__main__":
    sys.exit(main())
