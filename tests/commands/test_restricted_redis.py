"""What the commands say of a Redis whose user may not do everything, or that holds the keys of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from tasktools.control.answers import Answers
from tasktools.management import queue_reading
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
        with (
            Celery("sender", broker=server.url, set_as_current=False) as app,
            app.connection_for_write() as connection,  # one of kombu's pool declares each queue only once
        ):
            return str(app.send_task("shop.add", queue=queue, connection=connection).id)

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


def test_purgequeue__without_scripts(
    as_user: Callable[..., str], send: Callable[[str], str], run_command: Run, client: Any
) -> None:
    """It removes the messages by transactions."""
    for _ in range(3):
        send("mails")
    done = run_command("purgequeue", "mails", "--task", "shop.add", "--noinput", "-A", as_user("-eval", "-evalsha"))
    assert (done.out.splitlines()[1].split(), done.code) == (["mails", "3", "0"], 0), done.err
    assert client.llen("mails") == 0


@pytest.fixture
def site(as_user: Callable[..., str]) -> str:
    return as_user()


def queues_of(done: Ran) -> dict[str, Any]:
    return {each["name"]: each for each in json.loads(done.out)["queues"]}


def test_showqueues__a_key_that_is_no_list(site: str, client: Any, send: Any, typed: Run, run_command: Run) -> None:
    send("celery")
    send("mails")
    client.delete("mails")
    client.set("mails", "x")
    done = typed("showqueues", "-A", site, "--json")
    queues = queues_of(done)
    assert (queues["celery"]["ready"], queues["mails"]["ready"], done.code) == (1, None, 0)
    assert (queues["celery"]["is_other_type"], queues["mails"]["is_other_type"]) == (False, True)
    for options in (["--by-task"], ["--peek", "1"], ["--interval", "200ms"]):
        assert typed("showqueues", "-A", site, "--json", *options).code == 0
    row = next(line for line in run_command("showqueues", "-A", site).out.splitlines() if line.startswith("mails"))
    assert row.split()[1] == "unknown"
    assert "another program's key" in row


@pytest.mark.parametrize("key", ["_kombu.binding.str", "unacked_index", "unacked"])
def test_showqueues__a_key_of_kombu_that_is_another_program_s(
    site: str, client: Any, send: Any, typed: Run, run_command: Run, key: str
) -> None:
    task_id = send("celery")
    client.set(key, "x")
    done = typed("showqueues", "-A", site, "--json")
    assert (queues_of(done)["celery"]["ready"], done.code) == (1, 0)
    assert json.loads(done.err)["warning"] == f'Not what kombu puts there, so not read: "{key}".'
    assert "position 1 of the queue" in run_command("taskresult", "-A", site, task_id).err
    assert run_command("taskresult", "-A", site, "nosuch").code == 4


def test_taskresult__a_queue_that_is_no_list(site: str, client: Any, send: Any, run_command: Run) -> None:
    send("mails")
    task_id = send("zoo")
    client.rename("mails", "mails\x06\x163")
    client.set("mails", "x")
    assert 'position 1 of the queue "zoo"' in run_command("taskresult", "-A", site, task_id).err


def test_showqueues__a_name_that_is_a_hash(site: str, client: Any, run_command: Run) -> None:
    client.hset("hashq", "a", "b")
    assert run_command("showqueues", "hashq", "-A", site).code == 4


def test_binding__that_is_no_utf8(site: str, client: Any, send: Any, typed: Run, run_command: Run) -> None:
    task_id = send("elsewhere")
    client.sadd("_kombu.binding.zz", b"\xff\x06\x16\x06\x16\xff", "a\x06\x16\x06\x16mails")
    done = typed("showqueues", "-A", site, "--json")
    assert ({"elsewhere", "mails"} <= queues_of(done).keys(), done.code) == (True, 0)
    assert 'position 1 of the queue "elsewhere"' in run_command("taskresult", "-A", site, task_id).err


def test_showqueues__names_that_no_worker_should_say(
    site: str, typed: Run, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = [{"name": "q" * 1_000_000}, {"name": None}, {"name": 5}, "odd", {}, {"name": "mails"}]
    said = Answers(said={"a@h": {"active_queues": queues}}, failed={}, listening=1, silent=0)
    monkeypatch.setattr(queue_reading, "ask", lambda app, commands: said)
    done = typed("showqueues", "-A", site, "--json")
    assert queues_of(done).keys() == {"celery", "mails", f"{'q' * 1_000}…"}
    out = run_command("showqueues", "-A", site).out
    assert f"{'q' * 120}… " in out
    assert len(out) < 2_000
