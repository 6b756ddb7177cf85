"""What depends on the pool, on Redis and on RabbitMQ."""

from __future__ import annotations

import json
import time

import pytest

from tests.matrix import test_brokers as stories
from tests.matrix.conftest import Cell, cells
from tests.support import wait_for

POOLS = ["prefork", "threads", "solo", "gevent", "eventlet"]

pytestmark = [pytest.mark.matrix, pytest.mark.parametrize("cell", cells(["redis", "rabbitmq"], POOLS), indirect=True)]


def test_wait(cell: Cell) -> None:
    stories.test_wait(cell)


def test_together(cell: Cell) -> None:
    """Ten tasks that sleep for two seconds at once."""
    worker = cell.worker(concurrency=10)
    calls = cell.site.root / "calls.jsonl"
    calls.write_text("".join(json.dumps([str(cell.path), key, 2]) + "\n" for key in range(10)))
    cell.manage("enqueue", "work", "--from", str(calls))
    cell.await_keys(10, "ended", timeout=60)
    lines = [line.split()[0] for line in cell.lines()]
    most = max(lines[:place].count("began") - lines[:place].count("ended") for place in range(1, len(lines) + 1))
    assert worker.process.poll() is None
    if cell.pool == "solo":
        assert most == 1
        cell.limit("one after the other")
    else:
        assert most == 10


def test_countdown(cell: Cell) -> None:
    stories.test_countdown(cell)


def test_drain(cell: Cell) -> None:
    stories.test_drain(cell)


def test_max_tasks(cell: Cell) -> None:
    stories.limited(cell)


def test_reload_under_load(cell: Cell) -> None:
    stories.reload_under_load(cell)


def test_warm_stop(cell: Cell) -> None:
    stories.warm_stop(cell)


def test_server_killed(cell: Cell) -> None:
    stories.server_killed(cell)


def test_grace(cell: Cell) -> None:
    """--grace cuts a task that does not end in time, where the pool can."""
    worker = cell.worker("--grace", "3s", concurrency=1)
    cell.enqueue("work", cell.path, 0, 60)
    cell.await_keys(1, "began")
    began = time.monotonic()
    worker.process.terminate()
    wait_for(lambda: worker.process.poll() is not None, 30, "the worker to end")
    assert time.monotonic() - began < 10
    assert cell.keys("ended") == []
