"""showqueues beside real workers, on Redis and on RabbitMQ, and drawn in a terminal."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.servers import RabbitMQ, Redis, started
from tests.support import LIMIT, Site, wait_for

TASKS = """
import os, time
from celery import shared_task

@shared_task
def hold(number=0):
    while not os.path.exists("go"):
        time.sleep(0.05)

@shared_task(acks_late=True)
def late(number=0):
    hold(number)
"""


def queues(site: Site, *words: str) -> dict[str, Any]:
    done = site.manage("showqueues", *words, "--json")
    assert done.returncode == 0, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["queues"]}


def begin(site: Site, settings: str = "") -> None:
    """Start a worker that runs one task, has fetched more, holds one for later, and leaves others in another queue."""
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS)
    worker = site.start_manage("runworker", "--noreload", "-l", "INFO", "-c", "1", "-P", "threads", "-Q", "celery")
    worker.wait_for_output(" ready.")
    for words in (("late",), ("late", "--countdown", "1h"), *[("hold", "--queue", "mails")] * 3):
        assert site.manage("enqueue", *words).returncode == 0


def end(site: Site) -> None:
    (site.root / "go").touch()


def test_redis__what_a_worker_runs_and_holds(site: Site) -> None:
    begin(site)
    wait_for(lambda: queues(site)["celery"]["unacked"] == 2)
    found = queues(site)
    end(site)
    celery, mails = found["celery"], found["mails"]
    assert (celery["ready"], celery["unacked"], celery["later"], celery["consumers"]) == (0, 2, 1, 1)
    assert 0 < celery["oldest_taken"] < 60
    assert (mails["ready"], mails["unacked"], mails["consumers"], mails["is_declared"]) == (3, 0, 0, False)
    assert 0 <= mails["oldest"] < 60


def test_rabbitmq__what_the_protocol_says(site: Site, rabbitmq: RabbitMQ) -> None:
    begin(site, f"CELERY_BROKER_URL = {rabbitmq.url!r}\n")
    wait_for(lambda: queues(site)["celery"]["ready"] == 0)
    celery, mails = queues(site)["celery"], queues(site, "mails")["mails"]
    assert (celery["ready"], celery["consumers"], celery["exists"]) == (0, 1, True)
    assert (mails["ready"], mails["consumers"], mails["exists"]) == (3, 0, True)
    for name in ("unacked", "later", "oldest", "oldest_taken"):
        assert celery[name] is None
        assert mails[name] is None
    measured = queues(site, "mails", "--interval", "200ms")["mails"]
    assert (measured["added"], measured["taken"], measured["growth"]) == (None, None, 0)

    assert site.manage("showqueues", "mails", "--max", "2").returncode == 1
    old = site.manage("showqueues", "mails", "--max-age", "1h")
    assert old.returncode == 1
    assert "--max-age cannot be checked" in old.stderr
    missing = site.manage("showqueues", "no-such-queue")
    assert missing.returncode == 4
    assert 'Nobody knows the queue "no-such-queue"' in missing.stderr
    peeked = site.manage("showqueues", "mails", "--peek", "1")
    assert (peeked.returncode, peeked.stdout) == (2, "")
    assert "cannot show a message without handing it out" in peeked.stderr
    end(site)


DELAY = "from shop.tasks import hold; hold.delay()"


def test_age__of_what_delay_and_a_file_send(site: Site) -> None:
    """A project that does nothing for it can be warned of a queue that nobody reads."""
    site.minimal()
    site.write("shop/tasks.py", TASKS)
    site.write("calls.jsonl", "[1]\n[2]\n[3]\n")
    assert site.manage("shell", "-c", DELAY).returncode == 0
    assert site.manage("enqueue", "hold", "--from", "calls.jsonl", "--queue", "mails").returncode == 0
    for name, count in (("celery", 1), ("mails", 3)):
        found = queues(site, name, "--peek", "5")[name]
        assert found["ready"] == count
        assert 0 <= found["oldest"] < 60
        assert all(each["sent"] for each in found["messages"])
        assert site.manage("showqueues", name, "--max-age", "1h").returncode == 0
        wait_for(lambda name=name: queues(site, name)[name]["oldest"] > 1)  # type: ignore[misc]
        old = site.manage("showqueues", name, "--max-age", "1s")
        assert (old.returncode, "its oldest message has waited for" in old.stderr) == (1, True)


@pytest.mark.parametrize("size", [(24, 80), (60, 200)])
def test_watch__in_a_terminal(site: Site, size: tuple[int, int]) -> None:
    site.minimal()
    assert site.manage("enqueue", "add", "1", "2", "--queue", "mails").returncode == 0
    words = ["manage.py", "showqueues", "--watch"]
    environment = {**site.variables(), "TERM": "xterm-256color"}
    terminal = pexpect.spawn(sys.executable, words, cwd=site.root, env=environment, timeout=LIMIT, dimensions=size)
    terminal.expect("mails")
    terminal.expect("READY")  # it is drawn again
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


@pytest.mark.parametrize("command", ["showqueues", "showworkers"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_watch__that_a_signal_ends_restores_the_terminal(site: Site, command: str, signum: int) -> None:
    """It was left without its cursor, and showed the page instead of what was there before."""
    site.minimal()
    site.start_worker()
    environment = {**site.variables(), "TERM": "xterm-256color"}
    words = ["manage.py", command, "--watch"]
    terminal = pexpect.spawn(sys.executable, words, cwd=site.root, env=environment, timeout=LIMIT)
    terminal.expect("celery")
    terminal.kill(signum)
    terminal.expect_exact("\x1b[?1049l")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


@pytest.mark.parametrize("words", [(), ("--interval", "3s")], ids=["every 2 s", "measured"])
@pytest.mark.parametrize("kind", [Redis, RabbitMQ])
def test_watch__a_broker_that_freezes_is_reported(
    site: Site, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, kind: type[Any], words: Any
) -> None:
    """It listens and says nothing; when it is back, the page goes on."""
    with contextlib.ExitStack() as stack:
        if kind is RabbitMQ:
            server = request.getfixturevalue("rabbitmq")
        else:
            server = stack.enter_context(started(Redis, tmp_path_factory.mktemp("redis")))
        site.minimal(settings=f"CELERY_BROKER_URL = {server.url!r}\n")
        watch = site.start_manage("showqueues", "celery", "--watch", *words)
        watch.wait_for_output("READY")
        server.suspend()
        stack.callback(server.resume)
        watch.wait_for_output(f'The broker "{kind.__name__.lower().replace("rabbitmq", "amqp")}://')
        before = watch.output.count("READY")
        server.resume()
        wait_for(lambda: watch.output.count("READY") > before)


def test_watch__a_broker_that_freezes_while_it_is_measured_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    with started(Redis, tmp_path / "redis") as server:
        site.minimal(settings=f"CELERY_BROKER_URL = {server.url!r}\n")
        watch = site.start_manage("showqueues", "celery", "--watch", "--interval", "10m")
        client = server.client()
        wait_for(lambda: client.info("commandstats").get("cmdstat_llen", {}).get("calls", 0) > 20, pause=0.1)
        server.suspend()
        try:
            assert watch.wait() == 69
            assert "does not answer" in watch.output
        finally:
            server.resume()


def test_watch__in_a_tiny_terminal(site: Site) -> None:
    site.minimal()
    assert site.manage("enqueue", "add", "1", "2", "--queue", "mails").returncode == 0
    words = ["manage.py", "showqueues", "--watch"]
    environment = {**site.variables(), "TERM": "xterm-256color"}
    terminal = pexpect.spawn(sys.executable, words, cwd=site.root, env=environment, timeout=LIMIT, dimensions=(3, 10))
    for _ in range(2):
        terminal.expect(r"\d\d:\d\d:\d\d")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, b"Traceback" in terminal.before) == (130, False)
