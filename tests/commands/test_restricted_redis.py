"""What the commands say of a Redis whose user may not do everything, or that holds the keys of other programs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from tests import servers
from tests.conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Redis]:
    with servers.started(servers.Redis, tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def client(server: servers.Redis) -> Iterator[Any]:
    with server.client() as client:
        client.flushdb()
        yield client


@pytest.fixture
def as_user(server: servers.Redis, client: Any, elsewhere: Callable[..., str]) -> Callable[..., str]:
    """Make an app whose user may do all but what the rules say."""

    def make(*rules: str) -> str:
        client.execute_command("ACL", "SETUSER", "site", "reset", "on", ">secret", "~*", "&*", "+@all", *rules)
        url = server.url.replace("redis://", "redis://site:secret@")
        return elsewhere(broker_url=url, result_backend=url)

    return make


@pytest.fixture
def send(server: servers.Redis, client: Any) -> Callable[[str], str]:
    """Send a task to a queue, as a program with all permissions."""

    def send(queue: str) -> str:
        with Celery("sender", broker=server.url, set_as_current=False) as app:
            return str(app.send_task("shop.add", queue=queue, task_id=str(uuid.uuid4())).id)

    return send


def test_taskresult__without_scan(as_user: Any, send: Any, run_command: Run) -> None:
    task_id = send("elsewhere")
    done = run_command("taskresult", "-A", as_user("-scan"), task_id)
    assert done.code == 3
    assert done.err.splitlines() == [
        f"{task_id} is PENDING: no worker that answers has it, and not all queues of this broker can be read.",
        "Hint: its user may not list the queues: allow it SCAN (ACL SETUSER), or check the id",
    ]


def test_revoketask__without_scan(as_user: Any, send: Any, run_command: Run) -> None:
    task_id = send("elsewhere")
    done = run_command("revoketask", "-A", as_user("-scan"), task_id)
    assert "no worker that answers has it, and not all queues of this broker can be read" in done.out
    assert "no trace" not in done.out + done.err


def test_taskresult__without_scripts(as_user: Any, send: Any, run_command: Run) -> None:
    task_id, app = send("celery"), as_user("-eval", "-evalsha")
    done = run_command("taskresult", "-A", app, task_id)
    assert (done.code, done.err.splitlines()[0]) == (
        3,
        f'{task_id} (shop.add) is PENDING: it waits at position 1 of the queue "celery".',
    )
    done = run_command("taskresult", "-A", app, "nosuch")
    assert done.code == 3
    assert "nosuch is PENDING: no queue holds it, and the workers could not be asked.\n" in done.err
    assert "Hint: allow the user of the broker to ask workers (ACL SETUSER): The broker" in done.err
    assert "eval" in done.err


def test_revoketask__without_scripts(as_user: Any, run_command: Run) -> None:
    done = run_command("revoketask", "-A", as_user("-eval", "-evalsha"), "nosuch")
    assert done.code == 69
    assert "eval" in done.err
