"""Run after run of `runworker --max-tasks 50` with 100 calls queued, then `--drain` for the rest: each exactly once.

    python -m tests.max_tasks [--runs 30] [--broker private|redis|rabbitmq] [--pool prefork|threads|solo]

Prints what it found, and ends with 1 when a run has not ended with 0, has not begun exactly 50, or when a call is missing
or ran twice in the end. The tests run it once.
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers import BROKERS, broker
from tests.support import LIMIT, Site

TASKS = """
from celery import shared_task

@shared_task(acks_late=LATE)
def note(path, key):
    with open(path, "a") as file:
        file.write(f"{key}\\n")
"""

FILL = """
import sys
import django
django.setup()
from shop.tasks import note
for key in range(int(sys.argv[2])):
    note.delay(sys.argv[1], key)
"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of the calls of one run."""

    #: The exit codes of the limited worker and of the one that drains; None for one that hung.
    codes: tuple[int | None, int | None]
    #: How many calls the limited worker has begun.
    begun: int
    missing: list[int]
    repeated: list[int]
    #: What both workers printed.
    output: str

    def is_good(self, limit: int) -> bool:
        return self.codes == (0, 0) and self.begun == limit and not (self.missing or self.repeated)


def prepare(site: Site, settings: str, *, acks_late: bool = False) -> Site:
    """Write the project whose calls are counted."""
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS.replace("LATE", str(acks_late)))
    return site


def run(site: Site, record: Path, *words: str, queued: int = 100, limit: int = 50) -> Found:
    """Queue the calls, have one worker begin `limit` of them and another one the rest; `words` go to both workers."""
    filled = site.run(
        sys.executable, "-c", FILL, str(record), str(queued), env={"DJANGO_SETTINGS_MODULE": site.settings_module}
    )
    assert filled.returncode == 0, filled.stderr
    common = ("runworker", "--noreload", "-l", "INFO", "--without-mingle", "--without-gossip", *words)
    first, said = _work(site, *common, "--max-tasks", str(limit))
    begun = len(_keys(record))
    second, said_then = _work(site, *common, "--drain")
    times = collections.Counter(_keys(record))
    return Found(
        codes=(first, second),
        begun=begun,
        missing=[key for key in range(queued) if key not in times],
        repeated=[key for key, count in times.items() if count > 1],
        output=said + said_then,
    )


def _work(site: Site, *words: str) -> tuple[int | None, str]:
    """Run a worker to its end, and return its exit code and what it printed; None for one that hangs and is killed."""
    worker = site.start_manage(*words)
    try:
        return worker.process.wait(LIMIT), worker.output
    except subprocess.TimeoutExpired:
        os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        return None, worker.output


def _keys(record: Path) -> list[int]:
    return [int(line) for line in record.read_text().splitlines()] if record.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--broker", default="private", choices=BROKERS)
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("--acks-late", action="store_true")
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as name, Site(Path(name) / "site") as site:
        folder = Path(name)
        with broker(options.broker, folder / "broker") as settings:
            prepare(site, settings, acks_late=options.acks_late)
            for number in range(options.runs):
                found = run(site, folder / f"record-{number}", "-c", "8", "-P", options.pool)
                good = found.is_good(50)
                bad += not good
                print(
                    f"{options.broker}, {options.pool}, run {number + 1}: exit codes {found.codes}, begun {found.begun}, "
                    f"missing {found.missing}, begun more than once {found.repeated}",
                    flush=True,
                )
                if not good:
                    print(found.output, flush=True)
    print(f"{options.runs - bad} of {options.runs} runs are as they shall be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
