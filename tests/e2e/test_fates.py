"""What taskresult says of a task, for each of the ten things that may have become of it, over real workers."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.servers import RabbitMQ
from tests.support import Site, wait_for

TASKS = """
import time
from pathlib import Path

from celery import shared_task


@shared_task
def add(x, y):
    return x + y


@shared_task
def fail():
    raise ValueError("broken")


@shared_task(bind=True)
def retry(self):
    raise self.retry(exc=OSError("no answer"), countdown=3600)


@shared_task(rate_limit="1/h")
def limited():
    pass


@shared_task
def hold():
    while not Path("go").exists():
        time.sleep(0.05)
"""

SETTINGS = (
    "CELERY_TASK_TRACK_STARTED = {started}\nCELERY_RESULT_EXTENDED = True\nCELERY_WORKER_PREFETCH_MULTIPLIER = 4\n"
)

DUE = r" \(due 20\S+\)"
NO_TRACE = "no trace of it: no queue holds it and no worker that answers has it"
UNREADABLE = "no worker that answers has it, and not all queues of this broker can be read"

#: By the fate: what the command ends with, its state and place in JSON, and what it says after the id.
TABLE = {
    "waiting": (
        3,
        "PENDING",
        "queued",
        r' \(shop\.tasks\.add\) is PENDING: it waits at position 2 of the queue "unread"\.',
    ),
    "eta": (
        3,
        "PENDING",
        "scheduled",
        rf" \(shop\.tasks\.add\) is PENDING: \S+@\S+ holds it until its time has come{DUE}\.",
    ),
    "retrying": (
        3,
        "RETRY",
        "scheduled",
        rf" \(shop\.tasks\.retry\) is RETRY \(OSError: no answer\): \S+@\S+ holds it until it tries it again{DUE}\.",
    ),
    "succeeded": (0, "SUCCESS", None, ""),
    "failed": (1, "FAILURE", None, r" \(shop\.tasks\.fail\) failed: ValueError: broken"),
    "revoked": (1, "REVOKED", None, r"( \(shop\.tasks\.add\))? was revoked\."),
    "expired": (4, "PENDING", "none", rf" is PENDING: {NO_TRACE}\."),
    "never sent": (4, "PENDING", "none", rf" is PENDING: {NO_TRACE}\."),
    "running": (3, "PENDING", "active", r" \(shop\.tasks\.hold\) is PENDING: \S+@\S+ runs it for \d\S* s\."),
    "reserved": (
        3,
        "PENDING",
        "reserved",
        r" \(shop\.tasks\.add\) is PENDING: \S+@\S+ has taken it and not begun it\.",
    ),
}

#: A busy solo worker does not answer, but the messages that it has taken are not acknowledged. Which of them it runs is known if
#: it stores that. A task that waits for its rate limit is named by no worker either.
SOLO = {
    "reserved": (
        3,
        "PENDING",
        "reserved",
        r" \(shop\.tasks\.limited\) is PENDING: a worker has taken it and not finished it\.",
    ),
    "running": (
        3,
        "STARTED",
        "reserved",
        r" \(shop\.tasks\.hold\) is STARTED \(.*\): celery@\S+ has taken it and not finished it\.",
    ),
}

#: On RabbitMQ nobody can look into a queue and leave the messages there: what waits and what never was look the same.
ON_RABBITMQ = dict.fromkeys(
    ("waiting", "expired", "never sent"), (3, "PENDING", "unknown", rf" is PENDING: {UNREADABLE}\.")
)


class Shop:
    """A project with a worker of one process, and a task for each fate."""

    def __init__(self, site: Site, settings: str, pool: str) -> None:
        self.site, self.pool = site, pool
        site.minimal(settings=SETTINGS.format(started=pool == "solo") + settings)
        site.write("shop/tasks.py", TASKS)
        self.worker = site.start_worker("-P", pool, "-c", "1")

    def send(self, *words: str) -> str:
        done = self.site.manage("enqueue", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(self, task_id: str) -> tuple[int, str, str | None, str]:
        """Return what the command ends with, the state and the place in its JSON, and its first line without the id."""
        data, text = (self.site.manage("taskresult", task_id, *more) for more in (["--json"], []))
        found = json.loads(data.stdout)
        assert data.returncode == text.returncode
        return data.returncode, found["state"], found["place"], text.stderr.partition("\n")[0].removeprefix(task_id)

    def idle_fates(self) -> Iterator[tuple[str, str]]:
        """Yield each fate that a worker without work can bring about, with the id of a task."""
        self.send("add", "1", "1", "--queue", "unread")
        yield "waiting", self.send("add", "1", "2", "--queue", "unread")
        yield "eta", self.send("add", "1", "3", "--countdown", "1h")
        retried = self.send("retry")
        self.worker.wait_for_output("Retry in")
        yield "retrying", retried
        done = self.send("add", "2", "2")
        self.worker.wait_for_output(f"[{done}] succeeded")
        yield "succeeded", done
        failed = self.send("fail")
        self.worker.wait_for_output(f"[{failed}] raised")
        yield "failed", failed
        revoked = str(uuid.uuid4())
        self.site.manage("celery", "control", "revoke", revoked)
        self.worker.wait_for_output(f"flagged as revoked: {revoked}")
        self.send("add", "1", "4", "--task-id", revoked, "--expires", "1h")
        self.worker.wait_for_output(f"Discarding revoked task: shop.tasks.add[{revoked}]")
        yield "revoked", revoked
        if self.pool == "solo":  # it takes no message while it runs a task
            self.send("limited")
            taken = self.send("limited")
            self.worker.wait_for_output(f"[{taken}] received")
            yield "reserved", taken
        yield "never sent", "4f3f8b1c-0000-4000-8000-000000000000"

    def busy_fates(self) -> Iterator[tuple[str, str]]:
        running = self.send("hold")
        self.worker.wait_for_output(f"[{running}] received")
        wait_for(lambda: self.ask(running)[2] in ("active", "reserved"), what="the task to begin")
        yield "running", running
        if self.pool == "solo":
            return
        taken = self.send("add", "1", "5")
        wait_for(lambda: self.ask(taken)[2] == "reserved", what="the worker to take the next message")
        yield "reserved", taken

    def check(self, expected: dict[str, tuple[int, str, str | None, str]], expired: str = "") -> None:
        found = {}
        for fates in (self.idle_fates(), iter([("expired", expired)] if expired else []), self.busy_fates()):
            for fate, task_id in fates:
                found[fate] = self.ask(task_id)
        wrong = {
            fate: (expected[fate], answer)
            for fate, answer in found.items()
            if answer[:3] != expected[fate][:3] or not re.fullmatch(expected[fate][3], answer[3])
        }
        assert not wrong, "\n".join(map(str, wrong.items()))
        assert set(found) == set(expected)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_fate__each_is_said_right(site: Site, pool: str) -> None:
    shop = Shop(site, "", pool)
    expired = shop.send("add", "3", "3")
    shop.worker.wait_for_output(f"[{expired}] succeeded")
    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        [key] = client.keys(f"*{expired}")
        client.pexpire(key, 1)
        wait_for(lambda: not client.exists(key))
    shop.check({**TABLE, **(SOLO if pool == "solo" else {})}, expired)
    (site.root / "go").touch()


def test_fate__on_rabbitmq_as_far_as_it_is_known(site: Site, rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    results = f"file://{tmp_path / 'results'}"
    shop = Shop(site, f"CELERY_BROKER_URL = {rabbitmq.url!r}\nCELERY_RESULT_BACKEND = {results!r}\n", "prefork")
    expired = shop.send("add", "3", "3")
    shop.worker.wait_for_output(f"[{expired}] succeeded")
    for file in (tmp_path / "results").glob(f"*{expired}*"):
        file.unlink()
    shop.check({**TABLE, **ON_RABBITMQ}, expired)
    (site.root / "go").touch()
