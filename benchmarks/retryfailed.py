"""Whether `manage.py retryfailed` sends each failed task once, although it is killed, or run twice at once; and how fast it is.

    python -m benchmarks.retryfailed [--rows N] [--kills N] [--commands N] [--seed N]

A site on disk (SQLite, the private Valkey) has N failed tasks (5,000). `retryfailed --all --noinput` is started, and killed by
SIGKILL when the queue has got so many messages more; this is repeated (10 times), and then one is left to finish. With
--commands 2, two commands run at the same time each time, and both are killed. In the end, each row must be marked as sent, and
its message must be in the queue once, under the id that the row names. Then the same number of rows is sent without a kill,
for the speed.

Prints what it found, and ends with 1 when a message is missing or is there twice. The tests run it with less.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import redis

from tests.support import Site, wait_for

#: Writes failed tasks into the table of the site, from the first number to the last.
FILL = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
django.setup()
from datetime import datetime, timezone
from tasktools.failures.message import Kept
from tasktools.models import FailedTask
first, last = int(sys.argv[1]), int(sys.argv[2])
BODY = b'[[2, %d], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
def row(number):
    name = f"old-{number}"
    headers = {"lang": "py", "task": "shop.tasks.add", "id": name, "root_id": name, "parent_id": None, "group": None,
               "retries": 0, "eta": None, "expires": None, "argsrepr": f"(2, {number})", "kwargsrepr": "{}"}
    kept = Kept(headers=headers, properties={"correlation_id": name, "delivery_mode": 2, "priority": 0},
                delivery_info={"exchange": "", "routing_key": "celery"}, content_type="application/json",
                content_encoding="utf-8", body=BODY % number)
    return FailedTask(task_id=name, task="shop.tasks.add", kind="raised", exception="builtins.ValueError", queue="celery",
                      failed_at=datetime.now(timezone.utc), message=kept.text(), body=kept.body)
FailedTask.objects.bulk_create([row(number) for number in range(first, last)], batch_size=500)
"""

#: Prints the rows of the table: the id, the new id and the state of each.
LIST = """
import os, json
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
django.setup()
from tasktools.models import FailedTask
print(json.dumps(list(FailedTask.objects.order_by("pk").values_list("task_id", "new_id", "state"))))
"""

QUEUE = "celery"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What has become of the rows."""

    killed: int
    missing: list[str]
    repeated: list[str]
    #: Not marked as sent, or the message has another id than the row says.
    wrong: list[str]

    @property
    def good(self) -> bool:
        return not (self.missing or self.repeated or self.wrong)


class Trial:
    """A site with failed tasks. Use it in the block of its Site."""

    def __init__(self, site: Site, rows: int, settings: str = "") -> None:
        """`settings` are further ones of the site, such as those of another database."""
        self.site, self.rows, self.made = site.minimal(settings=settings), 0, rows
        site.write("fill.py", FILL)
        site.write("list.py", LIST)
        self._run("manage.py", "migrate", "--verbosity", "0")
        self.fill(rows)
        self._run("manage.py", "enqueue", "shop.tasks.add", "0", "0")  # starts the server
        self.client = redis.Redis(unix_socket_path=str(site.data / "valkey.sock"))
        self.client.delete(QUEUE)

    def fill(self, number: int) -> None:
        """Add failed tasks."""
        self._run("fill.py", str(self.rows), str(self.rows + number))
        self.rows += number

    def kill(self, kills: int, commands: int, chance: random.Random) -> int:
        """Start the command and kill it, so often; return how often it was still running then."""
        killed = 0
        for round_ in range(kills):
            started = [self._start() for _ in range(commands)]
            due = self.made * (round_ + chance.random()) / (kills + 1)
            wait_for(partial(self._has_come, started, due), 60, pause=0.001)
            time.sleep(chance.random() * 0.03)
            for each in started:
                killed += each.process.poll() is None
                each.end(signal.SIGKILL)
        return killed

    def _has_come(self, started: list[Any], due: float) -> bool:
        return self.length() >= due or all(each.process.poll() is not None for each in started)

    def finish(self, commands: int = 1) -> float:
        """Run the command to its end, so many at once; return how long it took."""
        began = time.monotonic()
        for each in [self._start() for _ in range(commands)]:
            each.process.wait(120)
            # 4: another one has sent them all already.
            assert each.process.returncode in (0, 4), each.output[-2000:]
        return time.monotonic() - began

    def look(self, killed: int = 0) -> Found:
        """Compare the table and the queue."""
        headers = [json.loads(each)["headers"] for each in self.client.lrange(QUEUE, 0, -1)]
        sent = collections.Counter(each["tasktools_retry_of"] for each in headers)
        ids = {each["tasktools_retry_of"]: each["id"] for each in headers}
        rows = json.loads(self._run("list.py"))
        return Found(
            killed=killed,
            missing=[name for name, _, _ in rows if not sent[name]],
            repeated=[name for name, number in sent.items() if number > 1],
            wrong=[name for name, new, state in rows if state != "sent" or ids.get(name) != new],
        )

    def length(self) -> int:
        return int(self.client.llen(QUEUE))

    def _start(self) -> Any:
        return self.site.start(sys.executable, "manage.py", "retryfailed", "--all", "--noinput")

    def _run(self, *words: str) -> str:
        done = self.site.run(sys.executable, *words, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


def main() -> int:
    """Try, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=5_000, metavar="N")
    options.add_argument("--kills", type=int, default=10, metavar="N")
    options.add_argument("--commands", type=int, default=1, metavar="N")
    options.add_argument("--seed", type=int, default=None, metavar="N")
    given = options.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    with tempfile.TemporaryDirectory(prefix="tt-") as folder, Site(Path(folder)) as site:
        trial = Trial(site, given.rows)
        killed = trial.kill(given.kills, given.commands, random.Random(seed))
        before = trial.length()
        trial.finish(given.commands)
        found = trial.look(killed)
        print(f"seed {seed}: killed {found.killed} times, the last command sent {given.rows - before:,}")
        print(f"missing {len(found.missing)}, repeated {len(found.repeated)}, wrong {len(found.wrong)}")
        trial.client.delete(QUEUE)
        trial.fill(given.rows)
        seconds = trial.finish()
        print(
            f"{given.rows:,} rows in {seconds:.2f} s (with the start of Django): {given.rows / seconds:,.0f} a second"
        )
        good = found.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
