"""A Redis that is killed under a worker: nothing runs twice, and a stop says what was seen."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import celery
import pytest

from tests.servers import Redis, started
from tests.support import Running, Site, wait_for

TASKS = """
import os
import time
from celery import shared_task

@shared_task(acks_late=LATE)
def slow(key):
    with open("record", "a") as file:
        file.write(f"began {key}\\n")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not os.path.exists("end"):
        time.sleep(0.05)
    with open("record", "a") as file:
        file.write(f"ended {key}\\n")
"""

SEND = """
import django; django.setup()
from shop.tasks import slow
for key in range(4): slow.delay(key)
"""


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    with started(Redis, tmp_path / "redis") as server:
        yield server


def begin(site: Site, server: Redis, *, late: bool, seconds: int = 2, pool: str = "prefork") -> Running:
    """Start a worker that runs one task and has reserved three."""
    site.minimal(settings=f"CELERY_BROKER_URL = {server.url!r}")
    site.write("shop/tasks.py", TASKS.replace("LATE", str(late)).replace("SECONDS", str(seconds)))
    worker = site.start_worker("-c", "1", "-P", pool)
    sent = site.run(sys.executable, "-c", SEND, env={"DJANGO_SETTINGS_MODULE": site.settings_module})
    assert sent.returncode == 0, sent.stderr
    wait_for(lambda: worker.output.count(" received") == 4 and recorded(site))
    return worker


def recorded(site: Site) -> list[str]:
    record = site.root / "record"
    return record.read_text().splitlines() if record.exists() else []


def count_ended(site: Site) -> int:
    return sum(line.startswith("ended") for line in recorded(site))


#: Celery 5.5 reads no result that comes while it connects, and may hang when it is told to stop then.
READS = pytest.mark.skipif(celery.VERSION < (5, 6), reason="Celery 5.5 reads no result while it connects")


@pytest.mark.parametrize("late", [False, pytest.param(True, marks=READS)], ids=["early", "late"])
def test_killed_and_started_again__each_task_runs_once(site: Site, redis_server: Redis, late: bool) -> None:
    worker = begin(site, redis_server, late=late)
    redis_server.kill()
    worker.wait_for_output("Connection to broker lost")
    redis_server.start()
    client = redis_server.client()
    wait_for(lambda: len(recorded(site)) == 8 and not client.hlen("unacked"))
    assert worker.end() == 0
    assert sorted(recorded(site)) == sorted(f"{word} {key}" for word in ("began", "ended") for key in range(4))
    assert "Unrecoverable error" not in worker.output
    assert client.llen("celery") == 0


@READS
@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_killed_twice__what_a_pool_has_taken_runs_once(site: Site, redis_server: Redis, pool: str) -> None:
    """These pools are handed all that is reserved; an outage lasts until a task has ended, if not all have."""
    worker = begin(site, redis_server, late=True, pool=pool)
    for _ in range(2):
        ended = count_ended(site)
        redis_server.kill()
        wait_for(lambda: count_ended(site) > min(ended, 3))  # noqa: B023 - called at once
        redis_server.start()
        client = redis_server.client()
        wait_for(lambda: len(client.client_list()) > 2)  # noqa: B023 - called at once
    wait_for(lambda: len(recorded(site)) == 8 and not client.hlen("unacked"))
    assert worker.end() == 0
    assert sorted(recorded(site)) == sorted(f"{word} {key}" for word in ("began", "ended") for key in range(4))
    assert "Unrecoverable error" not in worker.output
    assert client.llen("celery") == 0


@READS
def test_down_at_a_stop__says_what_the_broker_still_holds(site: Site, redis_server: Redis) -> None:
    worker = begin(site, redis_server, late=False, seconds=600)
    redis_server.kill()
    worker.wait_for_output("Cannot connect to")
    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for_output("Warm shutdown")
    (site.root / "end").touch()
    assert worker.wait() == 0
    said = {
        line.partition(": ")[0]: line.count("slow[") for line in worker.output.splitlines() if ": shop.tasks" in line
    }
    assert said == {"finished": 1, "not given back": 3}
    assert (
        "The broker was not reached: they go back to the queue after its visibility timeout, 3600 s." in worker.output
    )
    redis_server.start()
    client = redis_server.client()
    assert (client.llen("celery"), client.hlen("unacked")) == (0, 3)


def test_silent_broker__does_not_hold_up_the_stop(site: Site) -> None:
    """It waits in the connection that it makes, without a limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        silent.settimeout(0.1)
        site.minimal(settings=f"CELERY_BROKER_URL = 'redis://127.0.0.1:{port}/0'")
        worker = site.start_manage("runworker", "-l", "INFO", "--pidfile", "worker.pid", "--noreload")
        held: list[socket.socket] = []

        def connects() -> bool:
            with contextlib.suppress(TimeoutError):
                held.append(silent.accept()[0])
                return "[tasks]" in worker.output  # asked after it: the worker connects just after these words
            return False

        wait_for(connects)
        assert worker.end() == 0
        for each in held:
            each.close()
    # It may run out of its own time in the moment of the stop: "cannot be reached: Timeout reading from socket".
    said = rf'^The broker "redis://127.0.0.1:{port}/0" (does not answer|cannot be reached: .*)\. The worker stops without it\.$'
    assert len(re.findall(said, worker.output, re.M)) == 1
    assert not (site.root / "worker.pid").exists()


def test_frozen_broker__what_cannot_be_given_back_is_said(site: Site, redis_server: Redis) -> None:
    """It waits where it closes the connection: the process is left."""
    worker = begin(site, redis_server, late=False, seconds=2)
    redis_server.suspend()
    try:
        assert worker.end() == 0
    finally:
        redis_server.resume()
    assert "does not answer. The worker stops without it." in worker.output
    assert "not given back: shop.tasks.slow[" in worker.output
    assert "ended 0" in recorded(site)
