"""Reload after reload under a steady load: every task exactly once, and none on older code than it was sent with.

    python -m tests.load [--reloads 200] [--pool prefork|threads|solo|gevent|eventlet] [-c 4] [--acks-late]
                         [--broker private|redis|rabbitmq]

Prints what it found, and ends with 1 when a task is missing, ran twice, or ran on code older than its sending.
The tests run it with a few reloads.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers import BROKERS, broker
from tests.support import Running, Site, save, wait_for

TASKS = """
import os
import time
from celery import shared_task

VERSION = 0

def put(path, *words):
    with open(path, "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

@shared_task(acks_late=LATE)
def work(path, key, seconds, sent_with):
    put(path, "began", key)
    time.sleep(seconds)
    put(path, "ended", key, sent_with, VERSION)
"""

#: Sends until the file `stop` is there, then prints how many. Of each 10 one has a countdown of a second; each SLOW-th
#: takes 5 s. It reads the version that stands in the file at that moment.
SENDER = """
import os, re, sys, time
import django
django.setup()
from shop.tasks import work
record, stop, slow = sys.argv[1], sys.argv[2], int(sys.argv[3])
key = 0
while not os.path.exists(stop):
    version = int(re.search(r"VERSION = (\\d+)", open("shop/tasks.py").read() or "VERSION = 0")[1])
    seconds = 5 if key % slow == slow - 1 else 0.01
    work.apply_async((record, key, seconds, version), countdown=1 if key % 10 == 5 else None)
    key += 1
    time.sleep(0.05)
print("sent", key)
"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of the tasks of one run."""

    sent: int
    missing: list[int]
    #: Begun more than once.
    repeated: list[int]
    #: (key, version when it was sent, version that ran it): an older one.
    outdated: list[tuple[int, int, int]]
    seconds: float

    @property
    def good(self) -> bool:
        return not (self.missing or self.repeated or self.outdated)


def run(site: Site, *, reloads: int, pool: str, acks_late: bool, concurrency: int = 4, settings: str = "") -> Found:
    """Reload so many times while tasks are sent, wait for the last task, and return what the tasks have recorded."""
    tasks = TASKS.replace("LATE", str(acks_late))
    site.minimal(settings=f'TASKTOOLS_LINGER = "20s"\n{settings}')
    file = site.write("shop/tasks.py", tasks)
    record, stop = site.root / "record", site.root / "stop"
    worker = site.start_manage("runworker", "-l", "INFO", "-P", pool, "-c", str(concurrency))
    worker.wait_for_output(" ready.")
    slow = "150" if pool == "solo" else "40"
    sender = site.start(
        sys.executable, "-c", SENDER, str(record), str(stop), slow, env={"DJANGO_SETTINGS_MODULE": site.settings_module}
    )
    began = time.monotonic()
    for number in range(1, reloads + 1):
        save(file, tasks.replace("VERSION = 0", f"VERSION = {number}"))
        _await_reload(worker, number)
    seconds = time.monotonic() - began
    stop.touch()
    assert sender.wait() == 0, sender.output
    sent = int(sender.output.split("sent ")[1])
    _await_end(record, sent, worker)
    return _found(record, sent, seconds)


def _await_end(record: Path, sent: int, worker: Running) -> None:
    """Wait until all tasks have ended, or none does for a minute."""
    ended, moved = -1, time.monotonic()

    def done() -> bool:
        nonlocal ended, moved
        before, ended = ended, len(_lines(record, "ended"))
        if ended != before:
            moved = time.monotonic()
        return ended >= sent or worker.process.poll() is not None or time.monotonic() - moved > 60

    wait_for(done, 3600, pause=0.5)


def _await_reload(worker: Running, number: int) -> None:
    def done() -> bool:
        return worker.output.count("new code runs") >= number or worker.process.poll() is not None

    wait_for(done, 60, f"reload {number}")


def _lines(record: Path, word: str) -> list[list[int]]:
    lines = [line.split() for line in record.read_text().splitlines()] if record.exists() else []
    return [[int(each) for each in rest] for first, *rest in lines if first == word]


def _found(record: Path, sent: int, seconds: float) -> Found:
    began = collections.Counter(key for (key,) in _lines(record, "began"))
    ended = {key: (with_version, by) for key, with_version, by in _lines(record, "ended")}
    return Found(
        sent=sent,
        missing=[key for key in range(sent) if key not in ended],
        repeated=[key for key, times in began.items() if times > 1],
        outdated=[(key, version, by) for key, (version, by) in ended.items() if by < version],
        seconds=seconds,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reloads", type=int, default=200)
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("-c", "--concurrency", type=int, default=4)
    parser.add_argument("--acks-late", action="store_true")
    parser.add_argument("--broker", default="private", choices=BROKERS)
    parser.add_argument("--log", type=Path, help="where to put what the worker printed")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = stack.enter_context(broker(options.broker, folder / "broker"))
        site = stack.enter_context(Site(folder / "site"))
        chosen = {"pool": options.pool, "acks_late": options.acks_late, "concurrency": options.concurrency}
        found = run(site, reloads=options.reloads, settings=settings, **chosen)
        if options.log:
            options.log.write_text(site.running[0].output)
    late = "acks_late" if options.acks_late else "acks early"
    print(
        f"{options.broker}, {options.pool}, {late}: {options.reloads} reloads in {found.seconds:.0f} s, {found.sent} tasks; "
        f"missing {found.missing}, begun more than once {found.repeated}, on older code than sent with {found.outdated}"
    )
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
