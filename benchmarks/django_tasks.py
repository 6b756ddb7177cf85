"""What a call of Django's Tasks framework costs beside `.delay()` of a shared task, and many of them by `enqueue --from`.

    python -m benchmarks.django_tasks [--pairs N] [--calls N]

One project, one private Valkey, no worker. `single` takes the time of 100 calls of each, in turn, in one process, in which
both have been called before. `bulk` is the time of the whole process that sends as many lines of each from a file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.common import PYTHON, finished, folder, make_project, server, timed
from benchmarks.report import Side, Target, interleave, parser, positive, report_ratio
from tasktools.framework import library

SINGLE, BULK = Target(limit=1.15), Target(limit=1.05)

SETTINGS = 'TASKS = {"default": {"BACKEND": "tasktools.backend.CeleryBackend"}}\n'

TASKS = """
from {library} import task


@task
def django_add(x, y):
    return x + y
"""

#: Prints a line for each pair: the milliseconds of a call by the framework, and of one by `.delay()`.
SCRIPT = """
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

from shop.tasks import add, django_add


def timed(call):
    begin = time.perf_counter()
    for number in range(100):
        call(number, number)
    return (time.perf_counter() - begin) * 10


for _ in range(int(sys.argv[1]) + 1):
    print(timed(django_add.enqueue), timed(add.delay))
"""


def single(root: Path, pairs: int) -> bool:
    (root / "calls.py").write_text(SCRIPT)
    lines = finished([PYTHON, "calls.py", str(pairs)], root)[1].splitlines()[1:]
    ours, other = (Side(name=name, sample=float) for name in ("django_add.enqueue()", "add.delay()"))
    for line in lines:
        for side, figure in zip((ours, other), line.split(), strict=True):
            side.samples.append(float(figure) * 1000)
    return report_ratio("one call", ours, other, SINGLE, "µs")


def bulk(root: Path, pairs: int, calls: int) -> bool:
    def side(task: str) -> Side:
        file = root / f"{task}.jsonl"
        file.write_text("".join(json.dumps([number, number]) + "\n" for number in range(calls)))
        command = [PYTHON, "manage.py", "enqueue", task, "--from", str(file)]
        return Side(name=f"enqueue {task} --from FILE", sample=lambda: timed(command, root))

    ours, other = side("django_add"), side("add")
    interleave([ours, other], pairs)
    return report_ratio(f"{calls:,} calls", ours, other, BULK, "s")


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__)
    options.add_argument("--calls", type=positive, default=50_000, metavar="N", help="lines in each file (50000)")
    given = options.parse_args()
    with folder() as root:
        site = make_project(root / "ours", ["tasktools", "shop"], SETTINGS)
        with (site / "shop/tasks.py").open("a") as file:
            file.write(TASKS.format(library=library.name()))
        with server(site):
            met = [single(site, given.pairs), bulk(site, min(given.pairs, 5), given.calls)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
