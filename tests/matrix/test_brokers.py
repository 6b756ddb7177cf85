"""Every command on every broker, with the pool that Celery takes by itself."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests import load
from tests.matrix.brokers import KINDS
from tests.matrix.conftest import Cell, cells
from tests.support import wait_for

pytestmark = [pytest.mark.matrix, pytest.mark.parametrize("cell", cells(list(KINDS), ["prefork"]), indirect=True)]


def test_wait(cell: Cell) -> None:
    cell.worker()
    assert cell.manage("enqueue", "add", "2", "2", "--wait").stdout == "4\n"


def test_queue(cell: Cell) -> None:
    task_id = cell.enqueue("add", 2, 3, "--queue", "other-queue")
    cell.worker("-Q", "other-queue")
    assert cell.manage("taskresult", task_id, "--wait").stdout == "5\n"


def test_priority(cell: Cell) -> None:
    for key in (0, 9, 3, 6):
        cell.enqueue("note", cell.path, key, "--priority", key)
    cell.pool = "solo"
    cell.drain(concurrency=1)
    if cell.kind.redis:
        assert cell.keys() == [0, 3, 6, 9]
        cell.limit("works; 0 is first, steps 0, 3, 6, 9")
    else:
        assert cell.keys() == [9, 6, 3, 0]
        cell.limit("works; the highest is first, with CELERY_TASK_QUEUE_MAX_PRIORITY")


def test_countdown(cell: Cell) -> None:
    cell.worker()
    began = time.monotonic()
    cell.enqueue("note", cell.path, 1, "--countdown", "3s")
    cell.await_keys(1)
    assert 3 <= time.monotonic() - began < 20


def test_expires(cell: Cell) -> None:
    task_id = cell.enqueue("note", cell.path, 1, "--expires", "100ms")
    cell.enqueue("note", cell.path, 2)
    cell.drain()
    assert cell.keys() == [2]
    if cell.kind.redis:
        assert "was revoked" in cell.manage("taskresult", task_id, code=1).stderr
    else:  # no worker sees it
        assert "PENDING" in cell.manage("taskresult", task_id, code=3).stderr
        cell.limit("works; the broker itself drops the message, and its state stays PENDING")


def test_from(cell: Cell) -> None:
    file = _calls(cell, 300)
    cell.manage("enqueue", "note", "--from", str(file), "--ids", "ids")
    cell.drain()
    assert sorted(cell.keys()) == list(range(300))
    assert len(set((cell.site.root / "ids").read_text().split())) == 300


def test_resume(cell: Cell) -> None:
    file = _calls(cell, 400)
    words = ("enqueue", "note", "--from", str(file), "--resume", "run", "--ids", "ids", "--batch-size", "20")
    for _ in range(2):
        command = cell.site.start_manage(*words, "--rate", "200")
        ids = cell.site.root / "ids"
        before = ids.stat().st_size if ids.exists() else 0
        wait_for(lambda: ids.exists() and ids.stat().st_size > before + 1000)  # noqa: B023 - called at once
        command.process.kill()
        command.process.wait()
    ended = cell.manage(*words)
    cell.drain()
    if cell.kind.redis:
        assert sorted(cell.keys()) == list(range(400))
    else:
        assert set(cell.keys()) == set(range(400))
        assert "in doubt" in ended.stderr or len(cell.keys()) == 400
        cell.limit("at least once: the batch that is in doubt is named and sent again")


def test_taskresult(cell: Cell) -> None:
    task_id = cell.enqueue("add", 20, 22)
    waiting = cell.manage("taskresult", task_id, code=3)
    if cell.kind.redis:
        assert "it waits in a queue" in waiting.stderr
    else:
        assert "PENDING" in waiting.stderr
        assert "it waits in a queue" not in waiting.stderr
    cell.drain()
    found = json.loads(cell.manage("taskresult", task_id, "--json").stdout)
    assert found["result"] == 42
    if not cell.kind.redis:
        cell.limit("works; one that waits is PENDING, the queue cannot be read")


def test_drain(cell: Cell) -> None:
    cell.manage("enqueue", "note", "--from", str(_calls(cell, 30)))
    cell.drain()
    assert sorted(cell.keys()) == list(range(30))


def test_max_tasks(cell: Cell) -> None:
    limited(cell)


def test_reload_under_load(cell: Cell) -> None:
    reload_under_load(cell)


def test_warm_stop(cell: Cell) -> None:
    warm_stop(cell)


def test_server_killed(cell: Cell) -> None:
    server_killed(cell)


def test_server_down(cell: Cell) -> None:
    cell.enqueue("note", cell.path, 1)  # the queue is there
    cell.server.stop()
    began = time.monotonic()
    try:
        ran = cell.manage("enqueue", "note", cell.path, "2", code=None)
        seconds = time.monotonic() - began
    finally:
        cell.server.start()
    if cell.kind.server is None:
        assert ran.returncode == 0
        cell.limit("it starts by itself")
    else:
        assert ran.returncode == 69, ran.stderr
        assert "Nothing was sent." in ran.stderr
        assert seconds < 7
    cell.drain()
    assert cell.keys() == ([1, 2] if cell.kind.server is None else [1])


def _calls(cell: Cell, count: int):  # type: ignore[no-untyped-def]
    file = cell.site.root / "calls.jsonl"
    file.write_text("".join(json.dumps([str(cell.path), key]) + "\n" for key in range(count)))
    return file


def limited(cell: Cell) -> None:
    """A worker ends by itself after exactly so many tasks, and leaves the rest to the next."""
    cell.manage("enqueue", "note", "--from", str(_calls(cell, 40)))
    first = cell.worker("--max-tasks", "15", wait=False)
    assert first.process.wait(60) == 0, first.output
    assert len(cell.keys()) == 15
    cell.drain()
    assert sorted(cell.keys()) == list(range(40))


def reload_under_load(cell: Cell) -> None:
    found = load.run(cell.site, reloads=4, pool=cell.pool, acks_late=False, settings=cell.settings)
    assert found.good, found


def warm_stop(cell: Cell) -> None:
    """SIGTERM: what runs is finished, what waits stays for the next worker."""
    worker = cell.worker(concurrency=1)
    for key in range(3):
        cell.enqueue("work", cell.path, key, 2 if key == 0 else 0)
    cell.await_keys(1, "began")
    assert worker.end(signal.SIGTERM) == 0, worker.output
    assert 0 in cell.keys("ended")
    cell.drain()
    assert sorted(cell.keys("ended")) == [0, 1, 2] == sorted(cell.keys("began"))


def server_killed(cell: Cell) -> None:
    """The server is killed under a worker that runs a task, and comes back: the worker goes on, nothing runs twice."""
    worker = cell.worker(concurrency=1)
    cell.enqueue("work", cell.path, 0, 3)
    cell.await_keys(1, "began")
    cell.server.kill()
    cell.server.start()
    cell.await_keys(1, "ended")
    cell.enqueue("work", cell.path, 1, 0)
    wait_for(lambda: 1 in cell.keys("ended"), 60)
    assert worker.process.poll() is None
    if cell.pool == "solo" and not cell.kind.redis:
        assert sorted(cell.keys("began")) in ([0, 1], [0, 0, 1])
        cell.limit("at least once: what runs runs again, for the loop of this pool acknowledges after the task")
    else:
        assert sorted(cell.keys("began")) == [0, 1]
