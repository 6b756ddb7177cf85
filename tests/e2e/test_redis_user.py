"""A Redis whose user may not use every command: what it may not is done without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Redis, started
from tests.support import Site

TASKS = """
from celery import shared_task

@shared_task
def version():
    return VERSION
"""


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    with started(Redis, tmp_path / "redis", user=("shop", "secret", "~* &* +@all -client -scan -info")) as server:
        yield server


def test_user_without_client_and_scan__reloads_and_is_told_what_it_may_not_see(site: Site, redis_server: Redis) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {redis_server.url!r}")
    site.write("shop/tasks.py", TASKS.replace("VERSION", "1"))
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "1")
    worker.wait_for_output(" ready.")
    site.write("shop/tasks.py", TASKS.replace("VERSION", "2"))
    done = site.manage("enqueue", "version", "--wait")
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    assert "Traceback" not in worker.output
    unknown = site.manage("taskresult", "no-such-id")
    assert (unknown.returncode, "not all queues of this broker can be read" in unknown.stderr) == (3, True), (
        unknown.stderr
    )
    assert "secret" not in worker.output + done.stderr + unknown.stderr
