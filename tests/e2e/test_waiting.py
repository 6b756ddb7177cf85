"""taskresult --wait on a real Redis: woken at once, over a restart, and in front of a server that says nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.servers import Redis, started
from tests.support import Running, Site, wait_for

#: Celery stores results by SETEX.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with started(Redis, tmp_path / "redis") as made:
        yield made


@pytest.fixture
def store(server: Redis) -> Iterator[Any]:
    """The result backend, as a worker writes to it."""
    with Celery("worker", broker="memory://", backend=server.url, set_as_current=False) as app:
        yield app.backend


def waiting(site: Site, server: Redis, *words: str) -> Running:
    """Start the command, and return when it listens and has looked once."""
    site.minimal(settings=f"CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {server.url!r}\n")
    command = site.start_manage("taskresult", "--wait", "--timeout", "5m", *words)
    with server.client() as client:
        wait_for(lambda: client.pubsub_channels("*"), what="the command to listen")
        gets = lambda: client.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"]  # noqa: E731
        wait_for(lambda: gets() > 1, what="its first look, after that for a group")
    return command


def test_wait__is_woken_and_does_not_wait_for_its_next_look(site: Site, server: Redis, store: Any) -> None:
    command = waiting(site, server, "one", "two", "--interval", "4m")
    store.store_result("one", 1, "SUCCESS")
    command.wait_for_output("one 1")
    store.store_result("two", 2, "SUCCESS")
    assert command.wait() == 0
    assert "two 2" in command.output


def test_wait__what_the_task_reports_is_printed_as_it_comes(site: Site, server: Redis, store: Any) -> None:
    command = waiting(site, server, "one", "--interval", "4m")
    store.store_result("one", {"current": 1, "total": 4}, "PROGRESS")
    command.wait_for_output("1 of 4")
    store.store_result("one", "over", "SUCCESS")
    assert command.wait() == 0


def test_wait__survives_a_restart_of_the_backend(site: Site, server: Redis, store: Any) -> None:
    command = waiting(site, server, "one", "--interval", "200ms")
    server.kill()
    server.start()
    with server.client() as client:
        wait_for(lambda: client.pubsub_channels("*"), what="the command to listen again")
    store.store_result("one", 1, "SUCCESS")
    assert command.wait() == 0
    assert "Traceback" not in command.output


@pytest.mark.parametrize("how", ["kill", "suspend"])
def test_wait__ends_soon_if_the_backend_does_not_answer(site: Site, server: Redis, how: str) -> None:
    command = waiting(site, server, "one")
    getattr(server, how)()
    try:
        assert command.wait() == 69
        assert "The result backend " in command.output
        assert "Traceback" not in command.output
    finally:
        if how == "suspend":
            server.resume()


def test_wait__for_a_reply_of_rpc(site: Site, server: Redis) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = {server.url!r}\nCELERY_RESULT_BACKEND = 'rpc://'\n")
    site.write(
        "shop/tasks.py",
        """
        import time
        from celery import shared_task

        @shared_task(bind=True)
        def nap(self):
            self.update_state(state="PROGRESS", meta={"current": 1, "total": 2})
            time.sleep(1)
            return time.time()
        """,
    )
    site.start_worker()
    done = site.manage("enqueue", "nap", "--wait", "--timeout", "60s")
    assert done.returncode == 0, done.stderr
    assert time.time() - float(done.stdout) < 30  # and does not wait for its timeout
