"""watchtasks beside real workers: what it sees, what it turns on and off, and what it survives."""

from __future__ import annotations

import json
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.servers import RabbitMQ, Redis, started
from tests.support import LIMIT, Running, Site, wait_for

TASKS = """
from celery import shared_task

@shared_task
def add(x, y):
    return x + y

@shared_task
def fail(text):
    raise ValueError(text)

@shared_task
def wait_for_file(path):
    import pathlib, time
    while not pathlib.Path(path).exists():
        time.sleep(0.05)

@shared_task(bind=True, max_retries=1)
def flaky(self):
    raise self.retry(countdown=0)
"""

ON, OFF = "Events of group {task} enabled by remote.", "Events of group {task} disabled by remote."


@pytest.fixture
def shop(site: Site) -> Site:
    site.minimal().write("shop/tasks.py", TASKS)
    return site


def watch(site: Site, *words: str) -> Running:
    """Start watchtasks, and return it when it listens."""
    watcher = site.start_manage("watchtasks", "--json", *words)
    watcher.wait_for_output("Watching the events of ")
    return watcher


def seen(watcher: Running) -> list[tuple[str | None, str]]:
    return [(each["task"], each["state"]) for each in objects(watcher) if "state" in each]


def objects(watcher: Running) -> list[dict[str, Any]]:
    return [json.loads(line) for line in watcher.output.splitlines(keepends=True) if line.endswith("\n")]


def test_watchtasks__sees_each_end_and_leaves_the_worker_as_it_was(shop: Site) -> None:
    worker = shop.start_worker()
    watcher = watch(shop)
    worker.wait_for_output(ON)
    for words in (("add", "1", "2"), ("fail", "boom"), ("flaky",)):
        assert shop.manage("enqueue", *words).returncode == 0
    wait_for(lambda: len(seen(watcher)) == 4)
    add, *rest = sorted(seen(watcher))
    assert add == ("shop.tasks.add", "SUCCESS")
    assert rest == [("shop.tasks.fail", "FAILURE"), ("shop.tasks.flaky", "FAILURE"), ("shop.tasks.flaky", "RETRY")]
    assert all(each["waited"] >= 0 and each["ran"] >= 0 for each in objects(watcher) if "state" in each)
    assert watcher.end(signal.SIGINT) == 130
    worker.wait_for_output(OFF)
    assert "Traceback" not in watcher.output
    assert "sends no events of tasks: it is told to" in watcher.output


def test_watchtasks__names_what_was_received_before(shop: Site, tmp_path: Path) -> None:
    shop.start_worker("-E", "-c", "1")
    path = tmp_path / "end"
    for _ in range(2):
        assert shop.manage("enqueue", "wait_for_file", str(path)).returncode == 0

    def has_both() -> bool:
        (found,) = json.loads(shop.manage("showworkers", "--json").stdout)["workers"]
        return (found["running"], found["reserved"]) == (1, 1)

    wait_for(has_both)
    watcher = watch(shop)
    shop.manage("showworkers")  # the worker answers in the order in which it is asked
    path.touch()
    wait_for(lambda: seen(watcher) == [("shop.tasks.wait_for_file", "SUCCESS")] * 2)


def test_watchtasks__that_turns_nothing_on_turns_nothing_off(shop: Site) -> None:
    worker = shop.start_worker("-E")
    watcher = watch(shop)
    shop.manage("enqueue", "add", "1", "2")
    wait_for(lambda: seen(watcher) == [("shop.tasks.add", "SUCCESS")])
    assert watcher.end(signal.SIGTERM) == 130
    other = watch(shop)
    shop.manage("enqueue", "add", "1", "2")
    wait_for(lambda: seen(other) == [("shop.tasks.add", "SUCCESS")])
    assert OFF not in worker.output
    assert "told to" not in watcher.output


def test_watchtasks__no_enable_says_who_is_silent(shop: Site) -> None:
    worker = shop.start_worker()
    watcher = watch(shop, "--no-enable")

    def is_told() -> bool:
        shop.manage("enqueue", "add", "1", "2")
        return "runs tasks and sends no events of them" in watcher.output

    wait_for(is_told, pause=0.5)
    assert ON not in worker.output


def test_watchtasks__the_last_one_that_leaves_turns_off(shop: Site) -> None:
    worker = shop.start_worker()
    first = watch(shop)
    worker.wait_for_output(ON)
    second = watch(shop)
    shop.manage("enqueue", "add", "1", "2")
    wait_for(lambda: len(seen(first)) == len(seen(second)) == 1)
    assert first.end(signal.SIGINT) == 130
    assert OFF not in worker.output
    shop.manage("enqueue", "add", "1", "2")
    wait_for(lambda: len(seen(second)) == 2)
    assert second.end(signal.SIGINT) == 130
    worker.wait_for_output(OFF)


def test_watchtasks__survives_a_restart_of_worker_and_broker(shop: Site, tmp_path: Path) -> None:
    with started(Redis, tmp_path / "redis") as server:
        settings = f"CELERY_BROKER_URL = {server.url!r}\nCELERY_TASK_IGNORE_RESULT = True\n"
        shop.minimal(settings=settings).write("shop/tasks.py", TASKS)
        worker = shop.start_worker("-n", "first@host")
        watcher = watch(shop)
        worker.wait_for_output(ON)
        server.kill()
        watcher.wait_for_output("Trying again.")
        server.start()
        watcher.wait_for_output("Connected again.")
        worker.end()
        other = shop.start_worker("-n", "second@host")
        other.wait_for_output(ON)
        shop.manage("enqueue", "add", "1", "2")
        wait_for(lambda: seen(watcher) == [("shop.tasks.add", "SUCCESS")])
        assert watcher.output.count("Trying again.") == 1
        server.suspend()
        wait_for(lambda: watcher.output.count("Trying again.") == 2)
        server.resume()
        wait_for(lambda: watcher.output.count("Connected again.") == 2)
        assert watcher.end(signal.SIGTERM) == 130


def test_watchtasks__on_rabbitmq(shop: Site, rabbitmq: RabbitMQ) -> None:
    settings = f"CELERY_BROKER_URL = {rabbitmq.url!r}\nCELERY_TASK_IGNORE_RESULT = True\n"
    shop.minimal(settings=settings).write("shop/tasks.py", TASKS)
    worker = shop.start_worker()
    watcher = watch(shop)
    worker.wait_for_output(ON)
    shop.manage("enqueue", "add", "1", "2")
    wait_for(lambda: seen(watcher) == [("shop.tasks.add", "SUCCESS")])
    rabbitmq.kill()
    watcher.wait_for_output("Trying again.")
    rabbitmq.start()
    watcher.wait_for_output("Connected again.")
    wait_for(lambda: shop.manage("enqueue", "add", "1", "2").returncode == 0)
    wait_for(lambda: len(seen(watcher)) >= 2)  # the first may be delivered again: its acknowledgement was lost
    assert watcher.end(signal.SIGINT) == 130
    worker.wait_for_output(OFF)


@pytest.fixture
def terminal(shop: Site) -> Iterator[pexpect.spawn]:
    shop.start_worker("-E")
    child = pexpect.spawn(
        *(sys.executable, ["manage.py", "watchtasks", "--top"]),
        cwd=str(shop.root),
        env=shop.variables(TERM="xterm"),
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=LIMIT,
    )
    yield child
    child.close(force=True)


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("\x03", 130)])
def test_top__is_drawn_sorted_and_leaves_the_terminal_as_it_was(
    shop: Site, terminal: pexpect.spawn, key: str, code: int
) -> None:
    before = termios.tcgetattr(terminal.child_fd)
    terminal.expect_exact("\x1b[?1049h")  # the other screen
    terminal.expect_exact("celery@")
    shop.manage("enqueue", "add", "1", "2")
    terminal.expect_exact("shop.tasks.add")
    assert termios.tcgetattr(terminal.child_fd)[3] != before[3]
    terminal.send("f")
    terminal.expect("failed[↓v]")
    terminal.send(key)
    terminal.expect_exact("\x1b[?1049l")
    terminal.expect(pexpect.EOF)
    assert termios.tcgetattr(terminal.child_fd)[3] == before[3]
    terminal.close()
    assert terminal.exitstatus == code
