"""Probes of a worker and a beat: what is broken is not alive, and what is busy is."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.proxy import Proxy
from tests.servers import RabbitMQ, Redis, free_port, started
from tests.support import Running, Site, stop, wait_for

TASKS = """
import time
from celery import shared_task

@shared_task
def add(x, y):
    return x + y

@shared_task
def nap(seconds: float):
    with open("began", "a") as file:
        file.write("began\\n")
    time.sleep(seconds)

@shared_task
def fail():
    raise ValueError("no")

@shared_task(rate_limit="1/h")
def rare():
    pass
"""

#: Settings whose broker the environment names. The one of files has no event loop: the worker's loop waits for room in the pool.
BROKER_OF_EACH = """
import os
CELERY_BROKER_URL = os.environ.get("BROKER", "")
if CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_in": BASE_DIR, "data_folder_out": BASE_DIR}
"""

#: A manage.py with limits for which a test does not wait long.
MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.management import execute_from_command_line
from tasktools.health.answer import Limits
from tasktools.management.run_base import RunCommand
RunCommand.health_limits = Limits(loop=3, stall=2, look=0.3, write=0.3, reconnect=3)
execute_from_command_line(sys.argv)
"""


def ask(port: int, path: str = "/livez", timeout: float = 30) -> tuple[int, str]:
    """Return the status and the text of an answer; 0 if there is none."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def probe(site: Site, *words: str) -> tuple[int, str]:
    ran = site.run(sys.executable, "-m", "tasktools.probe", *words)
    return ran.returncode, ran.stderr


def begin(site: Site, *words: str, settings: str = "", **options: Any) -> tuple[Running, int]:
    site.minimal(settings=settings).write("manage.py", MANAGE)
    site.write("shop/tasks.py", TASKS)
    port = free_port()
    worker = site.start_worker("--health", str(port), *words, **options)
    wait_for(lambda: ask(port, "/readyz")[0] == 200)
    return worker, port


def send(site: Site, *words: str, **options: Any) -> None:
    ran = site.manage("enqueue", *words, **options)
    assert ran.returncode == 0, ran.stderr


def kill(worker: Running) -> None:
    """End a worker and its pool without waiting for its tasks."""
    os.killpg(worker.process.pid, signal.SIGKILL)
    worker.wait()


def stays(predicate: object, seconds: float) -> bool:
    """Whether it stays true for so long."""
    until = time.monotonic() + seconds
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not predicate() or time.monotonic() > until, seconds + 5, pause=0.1)  # type: ignore[operator]
    return time.monotonic() > until


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[tuple[Redis, Proxy]]:
    with started(Redis, tmp_path / "redis") as server, Proxy(server.port) as proxy:
        yield server, proxy


@pytest.mark.measured
def test_worker__answers_and_writes_while_it_runs(site: Site) -> None:
    worker, port = begin(site)
    send(site, "add", "2", "2")
    send(site, "fail")
    assert ask(port) == (200, "ok: waits for tasks\n")
    assert probe(site, "worker") == (0, "")
    ended = 'tasktools_tasks_total{state="failed",task="shop.tasks.fail"} 1.0'
    text = wait_for(lambda: ended in (text := ask(port, "/metrics")[1]) and text)
    assert 'tasktools_tasks_total{state="succeeded",task="shop.tasks.add"} 1.0' in text
    assert 'tasktools_task_running_seconds_count{task="shop.tasks.add"} 1.0' in text
    assert 'tasktools_task_waiting_seconds_count{task="shop.tasks.add"} 1.0' in text
    assert "tasktools_pool_size 2.0" in text
    assert wait_for(lambda: 'tasktools_queue_messages{queue="celery"} 0.0' in ask(port, "/metrics")[1])
    assert worker.end() == 0
    assert ask(port)[0] == 0
    code, why = probe(site, "worker")
    assert code == 4
    assert why.startswith('no worker has written to "')


def test_busy_worker__is_alive_although_its_queue_is_not_empty(site: Site, rabbitmq: RabbitMQ) -> None:
    """Each pool, and prefork with the brokers of which other things are known."""
    brokers = {"files": "filesystem://", "rabbitmq": rabbitmq.url}
    (site.root / "naps.jsonl").write_text(6 * "[60]\n")
    begun: list[tuple[Running, int]] = []
    for name in ("prefork", "solo", "threads", "gevent", *brokers):
        env, pool = {"BROKER": brokers.get(name, "")}, "prefork" if name in brokers else name
        words = ("-P", pool, "-c", "1", "-n", f"{name}@%h", "-Q", f"busy-{name}")
        begun.append(begin(site, *words, settings=BROKER_OF_EACH, env=env))
        send(site, "nap", "--from", "naps.jsonl", "--queue", f"busy-{name}", env=env)
    record = site.root / "began"
    wait_for(lambda: record.exists() and record.read_text().count("\n") == len(begun))
    metric = re.compile('^tasktools_queue_messages{queue="busy-rabbitmq"} [1-9]', re.MULTILINE)
    wait_for(lambda: metric.search(ask(begun[-1][1], "/metrics")[1]))
    assert stays(lambda: all(ask(port)[0] == 200 for _, port in begun) and probe(site, "worker")[0] == 0, 4)
    assert all("has run a task for" in ask(port)[1] for _, port in begun)
    for worker, _ in begun:
        kill(worker)


def test_stopped_process__answers_nothing_and_its_file_gets_old_and_killed_its_port_is_free(site: Site) -> None:
    worker, port = begin(site)
    stop(worker.process.pid)
    try:
        assert ask(port, timeout=1)[0] == 0
        code, why = wait_for(lambda: (found := probe(site, "worker", "--max-age", "2s"))[0] and found)
        assert code == 1
        assert "has written nothing for" in why
    finally:
        worker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: probe(site, "worker", "--max-age", "2s")[0] == 0)
    assert stays(lambda: ask(port)[0] == 200, 1)
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.wait()
    with contextlib.closing(wait_for(lambda: bound(port))):
        pass


def bound(port: int) -> socket.socket | None:
    with contextlib.suppress(OSError):
        return socket.create_server(("127.0.0.1", port))
    return None


def test_cut_connection__a_worker_that_takes_nothing_is_not_alive_but_one_that_leaves_a_paused_queue_is(
    site: Site, wire: tuple[Redis, Proxy]
) -> None:
    server, proxy = wire
    settings = f"""
        CELERY_BROKER_URL = {server.url!r}
        CELERY_BROKER_READ_URL = 'redis://127.0.0.1:{proxy.port}/0'
        CELERY_TASK_ROUTES = {{"shop.tasks.fail": "mails"}}
    """
    _, port = begin(site, "-Q", "celery,mails", settings=settings)
    paused = site.manage("pausequeue", "mails")
    assert paused.returncode == 0, paused.stderr
    send(site, "fail")
    wait_for(lambda: 'tasktools_queue_messages{queue="mails"} 1.0' in ask(port, "/metrics")[1])
    assert stays(lambda: ask(port)[0] == ask(port, "/readyz")[0] == 200, 3)
    proxy.cut()
    assert ask(port)[0] == 200
    (site.root / "three.jsonl").write_text(
        3 * "[2, 2]\n"
    )  # the server gives the first to the connection that is cut, if that still asks for one
    send(site, "add", "--from", "three.jsonl")
    _, text = wait_for(lambda: (found := ask(port))[0] == 503 and found)
    # Which comes first depends on what kombu does over the connection: it may wait there for an answer, without a limit.
    stalled = 'has taken nothing for \\d+ s, although it has room and messages wait in "celery"'
    reasons = f"({stalled}|its loop has not come around for \\d+ s)"
    assert re.fullmatch(rf"not ok: {reasons}\n", text)
    code, why = wait_for(lambda: (found := probe(site, "worker"))[0] and found)
    assert code == 1
    assert re.search(rf" is not alive: {reasons}\.\n$", why)
    assert server.client().llen("celery") >= 2


def test_broker_away__is_no_reason_to_start_the_worker_again(site: Site, wire: tuple[Redis, Proxy]) -> None:
    server, _ = wire
    _, port = begin(site, settings=f"CELERY_BROKER_URL = {server.url!r}")
    for away, back in ((server.suspend, server.resume), (server.kill, server.start)):
        away()
        try:
            assert wait_for(lambda: ask(port, "/readyz")[0] == 503)
            assert stays(lambda: ask(port)[0] == 200, 3.5)
        finally:
            back()
        wait_for(lambda: ask(port, "/readyz")[0] == 200)


def test_stuck_pool__is_not_alive_after_the_limit(site: Site) -> None:
    worker, port = begin(site, "-c", "2", "--stuck-after", "2s")
    send(site, "nap", "60")
    send(site, "rare")
    send(site, "rare")
    assert stays(lambda: ask(port)[0] == 200, 3)  # one process is free, and the second one must wait for its rate limit
    send(site, "nap", "60")
    _, text = wait_for(lambda: (found := ask(port))[0] == 503 and found)
    assert text == "not ok: each of the 2 tasks that may run at a time has run for more than 2 s (--stuck-after)\n"
    wait_for(lambda: probe(site, "worker")[0] == 1)
    kill(worker)


def test_reload__the_new_worker_answers_at_the_same_port(site: Site) -> None:
    site.minimal().write("shop/tasks.py", TASKS)
    port = free_port()
    worker = site.start_manage("runworker", "--reload", "-l", "INFO", "-c", "1", "--health", str(port))
    wait_for(lambda: ask(port, "/readyz")[0] == 200)
    site.write("shop/tasks.py", TASKS.replace("def fail", "def newly"))
    worker.wait_for_output("new code runs after")
    wait_for(lambda: ask(port, "/readyz")[0] == 200)
    send(site, "newly")
    wait_for(lambda: 'task="shop.tasks.newly"' in ask(port, "/metrics")[1])


def test_taken_port__is_reported_before_the_worker_starts(site: Site) -> None:
    site.minimal()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = site.manage("runworker", "--noreload", "--health", str(port))
    assert ran.returncode == 2
    assert f'--health "127.0.0.1:{port}" cannot be opened: somebody listens there already.' in ran.stderr
    assert "Hint: stop it, or give another port" in ran.stderr


@pytest.mark.measured
def test_beat__is_alive_in_charge_and_standing_by(site: Site) -> None:
    site.minimal(
        settings="CELERY_BEAT_SCHEDULE = {'each': {'task': 'shop.tasks.add', 'schedule': 1.0, 'args': (1, 2)}}"
    ).write("manage.py", MANAGE)
    ports = [free_port(), free_port()]
    beats = [site.start_manage("runbeat", "--noreload", "--health", str(port)) for port in ports]
    said = {wait_for(lambda: (found := ask(port, "/readyz"))[0] == 200 and found)[1] for port in ports}  # noqa: B023
    assert said == {"ok: is in charge\n", "ok: stands by\n"}
    assert probe(site, "beat")[0] == 0
    assert wait_for(lambda: "tasktools_beat_last_round_timestamp_seconds " in ask(ports[0], "/metrics")[1])
    stop(beats[0].process.pid)
    try:
        _, why = wait_for(lambda: (found := probe(site, "beat", "--max-age", "2s"))[0] and found)
        assert f":{beats[0].process.pid} (process" in why
    finally:
        beats[0].process.send_signal(signal.SIGCONT)
    wait_for(lambda: probe(site, "beat", "--max-age", "2s")[0] == 0)
    assert [each.end() for each in beats] == [0, 0]
    assert probe(site, "beat")[0] == 4
