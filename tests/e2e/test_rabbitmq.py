"""RabbitMQ, which pushes: limits, reload and stops of a worker that takes more than it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import load, max_tasks
from tests.servers import RabbitMQ, started
from tests.support import Site, wait_for


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with started(RabbitMQ, tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def settings(rabbitmq: RabbitMQ, tmp_path: Path) -> str:
    """The settings of a project with a queue of its own on the server, and without results."""
    return f"CELERY_BROKER_URL = {rabbitmq.url!r}\nCELERY_TASK_DEFAULT_QUEUE = {tmp_path.name!r}\n"


def test_max_tasks__begins_exactly_so_many_and_each_runs_once(site: Site, settings: str) -> None:
    max_tasks.prepare(site, settings)
    found = max_tasks.run(site, site.root / "record", "-c", "8")
    assert found.is_good(50), found
    assert "Traceback" not in found.output


def test_reload__each_task_runs_once_and_the_new_worker_has_remote_control(site: Site, settings: str) -> None:
    found = load.run(site, reloads=2, pool="prefork", acks_late=False, settings=settings)
    assert found.sent > 20
    assert found.good, found
    [worker, *_] = site.running
    assert "already using this process mailbox" not in worker.output
    assert "Traceback" not in worker.output
    [name] = set(re.findall(r"(celery@\S+) ready\.", worker.output))

    def answers() -> list[str]:
        return re.findall(r"(celery@\S+): OK", site.manage("celery", "inspect", "ping").stdout)

    wait_for(lambda: answers() == [name], what="the old worker to be gone, and the new one to answer")


TASKS = """
import os, time
from celery import shared_task

VERSION = 1

@shared_task
def slow():
    while not os.path.exists("go"):
        time.sleep(0.05)
"""


def test_replaced_worker__leaves_remote_control_to_the_new_one(site: Site, settings: str) -> None:
    """The old one has a task to finish; only one of the two answers."""
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS)
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "1")
    worker.wait_for_output(" ready.")
    assert site.manage("enqueue", "slow").returncode == 0
    worker.wait_for_output("received")
    site.write("shop/tasks.py", TASKS.replace("VERSION = 1", "VERSION = 2"))
    worker.wait_for_output("waiting for shop.tasks.slow")
    wait_for(lambda: worker.output.count(" ready.") == 2)
    wait_for(lambda: site.manage("celery", "inspect", "ping").stdout.count("pong") == 1)
    assert "succeeded" not in worker.output
    (site.root / "go").touch()
    worker.wait_for_output("finished: shop.tasks.slow")
