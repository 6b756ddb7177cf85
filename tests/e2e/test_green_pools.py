"""runworker on gevent and eventlet: real processes, patched ahead of all imports, with and without reload."""

from __future__ import annotations

import re
import signal
import sys

import pytest

from tests import load
from tests.support import Running, Site, wait_for

POOLS = ["gevent", "eventlet"]

TASKS = """
import os
import time
from celery import shared_task

@shared_task
def nap(path, key, seconds: float):
    put(path, "began", key)
    end = time.monotonic() + seconds
    while time.monotonic() < end and not os.path.exists("end"):
        time.sleep(0.05)
    put(path, "ended", key)

@shared_task(acks_late=True)
def late(path, key, seconds: float):
    put(path, "began", key)
    time.sleep(seconds)
    put(path, "ended", key)

def put(path, word, key):
    with open(path, "a") as file:
        file.write(f"{word} {key} {time.monotonic()}\\n")
"""

#: Sends `sys.argv[1]` tasks that sleep, and one with a countdown.
SENDER = """
import sys, django
django.setup()
from shop.tasks import nap
for key in range(int(sys.argv[1])):
    nap.delay("record", key, float(sys.argv[2]))
if len(sys.argv) > 3:
    nap.apply_async(("record", "later", 0), countdown=float(sys.argv[3]))
"""


@pytest.fixture
def shop(site: Site) -> Site:
    site.minimal()
    site.write("shop/tasks.py", TASKS)
    site.environment["DJANGO_SETTINGS_MODULE"] = site.settings_module
    return site


def start(site: Site, pool: str, *words: str) -> Running:
    return site.start_manage("runworker", "-P", pool, "-l", "INFO", "-c", "100", *words)


def send(site: Site, *words: str) -> None:
    done = site.run(sys.executable, "-c", SENDER, *words)
    assert done.returncode == 0, done.stderr


def noted(site: Site, word: str) -> dict[str, float]:
    """Return when each task began or ended, by its key."""
    record = site.root / "record"
    lines = [line.split() for line in record.read_text().splitlines()] if record.exists() else []
    times = [(key, float(time)) for first, key, time in lines if first == word]
    assert len(times) == len(dict(times)), "a task ran twice"
    return dict(times)


def span(site: Site) -> float:
    """Return the seconds from the first beginning to the last end; the machine may be busy."""
    return max(noted(site, "ended").values()) - min(noted(site, "began").values())


def traceback_in(worker: Running) -> str | None:
    return worker.output if "Traceback" in worker.output or "Error" in worker.output else None


@pytest.mark.parametrize("reload", ["--reload", "--noreload"])
@pytest.mark.parametrize("pool", POOLS)
def test_sleeping_tasks__run_at_once_and_a_warm_stop_waits_for_the_last(shop: Site, pool: str, reload: str) -> None:
    worker = start(shop, pool, reload)
    worker.wait_for_output(" ready.")
    send(shop, "50", "1", "1")
    wait_for(lambda: len(noted(shop, "ended")) == 51)
    assert span(shop) < 30  # one after the other takes 50 s
    assert shop.manage("enqueue", "nap", "record", "last", "600").returncode == 0
    wait_for(lambda: "last" in noted(shop, "began"))
    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for_output("waiting for shop.tasks.nap[")
    (shop.root / "end").touch()
    assert worker.wait() == 0
    assert "last" in noted(shop, "ended")
    assert len(re.findall(r"^waiting for shop\.tasks\.nap\[[\w-]{36}\] \(\d s\)$", worker.output, re.M)) == 1
    assert re.search(r"^finished: shop\.tasks\.nap\[[\w-]{36}\]$", worker.output, re.M)
    assert not traceback_in(worker)


@pytest.mark.parametrize("pool", POOLS)
def test_limits__end_the_worker_by_themselves(shop: Site, pool: str) -> None:
    send(shop, "30", "0.2", "1")
    worker = start(shop, pool, "--noreload", "--max-tasks", "10")
    assert worker.wait() == 0
    assert len(noted(shop, "ended")) == 10
    assert not traceback_in(worker)
    worker = start(shop, pool, "--noreload", "--drain")
    assert worker.wait() == 0
    assert len(noted(shop, "ended")) == 31
    assert not traceback_in(worker)


@pytest.mark.parametrize("pool", POOLS)
def test_grace__cuts_what_still_runs_and_gives_it_back(shop: Site, pool: str) -> None:
    worker = start(shop, pool, "--noreload", "--grace", "3s")
    worker.wait_for_output(" ready.")
    assert shop.manage("enqueue", "late", "record", "1", "600").returncode == 0
    wait_for(lambda: noted(shop, "began"))
    worker.end(signal.SIGTERM)
    assert "they have 0.75 s more" in worker.output
    assert "went back to the queue: shop.tasks.late[" in worker.output
    purged = shop.manage("celery", "purge", "-f").stdout
    assert "Purged 1 message" in purged
    assert not traceback_in(worker)


def test_load__every_task_runs_once_and_on_code_no_older_than_it(site: Site) -> None:
    found = load.run(site, reloads=3, pool="gevent", acks_late=False)
    assert found.sent > 10  # how many there are in all depends on how quick the reloads are
    assert found.good, found


def test_setting__names_the_pool_as_well(shop: Site) -> None:
    shop.minimal(settings='CELERY_WORKER_POOL = "eventlet"\nCELERY_WORKER_CONCURRENCY = 20')
    shop.write("shop/tasks.py", TASKS)
    send(shop, "20", "2")
    worker = shop.start(sys.executable, "-m", "django", "runworker", "--reload", "--drain", "-l", "INFO")
    assert worker.wait() == 0
    assert len(noted(shop, "ended")) == 20
    assert span(shop) < 25  # one after the other takes 40 s
    assert "worker_pool setting" not in worker.output
    assert not traceback_in(worker)


def test_celery_command__patches_too(shop: Site) -> None:
    worker = shop.start_manage("celery", "worker", "-P", "gevent", "-c", "20", "-l", "INFO", "--without-mingle")
    worker.wait_for_output(" ready.")
    send(shop, "20", "2")
    wait_for(lambda: len(noted(shop, "ended")) == 20)
    assert span(shop) < 25  # one after the other takes 40 s
    assert worker.end() == 0


def test_beat_inside__is_refused_in_one_sentence(shop: Site) -> None:
    done = shop.manage("runworker", "-P", "gevent", "-B")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--beat does not work with the pool gevent.\nHint: ")


@pytest.mark.parametrize("pool", ["threads", *POOLS])
def test_task_that_exits__fails_and_leaves_its_place_to_others(shop: Site, pool: str) -> None:
    shop.write("shop/tasks.py", TASKS + "\n@shared_task\ndef leave():\n    raise SystemExit(3)\n")
    worker = shop.start_manage("runworker", "--reload", "-P", pool, "-c", "1", "-l", "INFO")
    worker.wait_for_output(" ready.")
    done = shop.manage("enqueue", "leave", "--wait", "--timeout", "60s")
    assert "failed: WorkerLostError: The task called sys.exit(3)." in done.stderr
    done = shop.manage("enqueue", "nap", "record", "1", "0", "--wait", "--timeout", "60s")
    assert done.returncode == 0, done.stderr
