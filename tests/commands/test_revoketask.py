"""revoketask on a real worker, and on kombu's nodes."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import OutputWrapper

from tasktools.control.presence import Presence
from tasktools.control.revoke import Confirmed
from tasktools.exceptions import Unreachable
from tasktools.management.base import TasktoolsCommand
from tasktools.management.revoke_output import question, require_done, show
from tasktools.results.revocable import Target, find
from tests.conftest import Ran
from tests.hostile import HOSTILE, active
from tests.support import Running, silent_port, wait_for

Run = Callable[..., Ran]


@pytest.fixture
def running(worker: Running, app: Any, tmp_path: Path) -> str:
    """The id of a task that a worker runs."""
    sent = app.send_task("tests.site.tasks.snooze", [30, str(tmp_path / "done")])
    wait_for(lambda: find(app, [sent.id], 1.0)[0].place == "running")
    return str(sent.id)


def test_running__is_ended_with_terminate(running: str, typed: Run, app: Any) -> None:
    ran = typed("revoketask", running)
    assert ran.code == 0
    assert ran.out.startswith(f"{running} (tests.site.tasks.snooze): it runs on celery@")
    assert ran.out.endswith(" and goes on: --terminate ends it.\n")
    assert "Confirmed by 1 worker: celery@" in ran.err
    assert find(app, [running], 1.0)[0].place == "running"
    ran = typed("revoketask", running, "--terminate", "--noinput", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["terminated_by"], document["silent"]) == (0, "SIGTERM", 0)
    assert document["tasks"][0]["place"] == "running"
    assert document["confirmed_by"] == [document["tasks"][0]["worker"]]
    wait_for(lambda: app.AsyncResult(running).state == "REVOKED")


def test_terminate__asks_first(running: str, typed: Run, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "n\n")
    ran = typed("revoketask", running, "--terminate", "--signal", "kill")
    assert (ran.code, ran.out) == (1, "")
    asked = f"Revoke 1 task, and end 1 task that runs ({running} (tests.site.tasks.snooze) on celery@"
    assert ran.err.startswith(asked)
    assert ran.err.endswith(" with SIGKILL? [y/N] Nothing was revoked.\n")
    assert find(app, [running], 1.0)[0].place == "running"
    answer(monkeypatch, "y\n")
    ran = typed("revoketask", running, "--terminate")
    assert ran.out.endswith(", which ends it with SIGTERM.\n")
    wait_for(lambda: app.AsyncResult(running).state == "REVOKED")


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    stdin = io.StringIO(text)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", stdin)


def test_waiting__is_found_in_its_queue_and_in_a_worker(worker: Running, typed: Run, app: Any, queue: str) -> None:
    waiting = app.send_task("tests.site.tasks.nothing", queue=queue).id
    later = app.send_task("tests.site.tasks.nothing", countdown=600).id
    wait_for(lambda: find(app, [later], 1.0)[0].place == "scheduled")
    ran = typed("revoketask", waiting, later)
    first, second = ran.out.splitlines()
    name = f"{waiting} (tests.site.tasks.nothing)"
    assert first == f"{name}: it waits in the queue {queue}: the worker that takes it discards it."
    assert second.endswith(" holds it until its time has come, and discards it then.")
    assert ran.code == 0


def test_unknown__ends_with_4_and_is_noted_all_the_same(worker: Running, typed: Run, app: Any) -> None:
    task_id = str(uuid.uuid4())
    ran = typed("revoketask", task_id)
    assert ran.code == 4
    assert ran.out == f"{task_id}: no trace of it: it has finished, or was never sent.\n"
    assert f"There is no trace of {task_id}. The workers have taken note all the same.\nHint: the id may be" in ran.err
    sent = app.send_task("tests.site.tasks.nothing", task_id=task_id)
    wait_for(lambda: sent.state == "REVOKED")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--signal", "KILL"], "--signal says how to --terminate"),
        (["--terminate", "--noinput", "--signal", "NOSUCH"], '"NOSUCH" is no signal.'),
        (["--terminate", "--noinput", "--signal", "99999"], '"99999" is no signal.'),
        (["--terminate"], "--terminate asks first, and nobody is there to say yes."),
        (["--terminate", "--json"], "--terminate asks first, and nobody is there to say yes."),
        (["--timeout", "0"], '--timeout is "0".'),
    ],
)
def test_usage__ends_with_2(typed: Run, words: list[str], text: str) -> None:
    ran = typed("revoketask", "some-id", *words)
    assert (ran.code, ran.out, text in ran.err.replace('\\"', '"')) == (2, "", True)


def refuse(**_: Any) -> None:
    raise NotImplementedError("TaskPool does not implement kill_job")


def fail(**_: Any) -> None:
    raise ValueError("broken")


def holder(place: str, name: str = "shop.add") -> dict[str, Callable[..., Any]]:
    return {
        "query_task": lambda ids: {each: [place, {"name": name}] for each in ids},
        "revoke": lambda task_id, **_: {"ok": f"tasks {task_id} flagged as revoked"},
    }


def test_fleet__who_has_not_confirmed_is_reported(fleet: Callable[..., str], typed: Run) -> None:
    name = fleet(a=holder("reserved"), b={**holder("nosuch"), "revoke": fail}, c=None)
    ran = typed("revoketask", "1", "-A", name)
    assert (ran.code, ran.out) == (0, "1 (shop.add): a@h has taken it and discards it.\n")
    assert "b@h has not done it: ValueError('broken').\nHint: its log says more\n" in ran.err
    assert "1 worker listens and has not confirmed.\nHint: who is busy" in ran.err


def test_fleet__a_pool_that_cannot_end_a_task(fleet: Callable[..., str], typed: Run) -> None:
    """It has taken note before it says so (celery.worker.control)."""
    name = fleet(a={**holder("active"), "revoke": refuse}, b=holder("nosuch"))
    ran = typed("revoketask", "1", "--terminate", "--noinput", "-A", name)
    assert (ran.code, ran.out) == (1, "1 (shop.add): it runs on a@h and goes on.\n")
    assert "a@h has taken note, but its pool cannot end a task that runs.\nHint: only prefork, gevent and" in ran.err
    assert "Confirmed by 2 workers: a@h, b@h." in ran.err
    assert "1 of 1 task goes on: no signal was sent.\n" in ran.err


def test_fleet__only_pools_that_cannot_end_a_task(fleet: Callable[..., str], typed: Run) -> None:
    name = fleet(a={**holder("active"), "revoke": refuse})
    ran = typed("revoketask", "1", "--terminate", "--noinput", "--json", "-A", name)
    document = json.loads(ran.out)
    assert (ran.code, document["confirmed_by"], document["cannot_terminate"]) == (1, ["a@h"], ["a@h"])
    assert (document["failed"], "No worker has confirmed" in ran.err) == ({}, False)


def test_fleet__a_task_that_begins_meanwhile_on_such_a_pool(fleet: Callable[..., str], typed: Run) -> None:
    ran = typed("revoketask", "1", "--terminate", "--noinput", "-A", fleet(a={**holder("reserved"), "revoke": refuse}))
    assert (ran.code, "A task that has begun meanwhile goes on: no signal was sent.\n" in ran.err) == (1, True)


def test_terminate__asks_only_what_it_can_mean() -> None:
    waiting, runs = Target(id="1", place="queued"), Target(id="2", place="running", worker="a@h")
    assert question([waiting], "SIGTERM") == "Revoke 1 task?"
    assert question([waiting, runs], "SIGTERM") == "Revoke 2 tasks, and end 1 task that runs (2 on a@h) with SIGTERM?"


def test_fleet__nobody_is_there(fleet: Callable[..., str], typed: Run) -> None:
    ran = typed("revoketask", "1", "-A", fleet())
    assert (ran.code, ran.out) == (69, "1: no trace of it: it has finished, or was never sent.\n")
    assert "No worker has confirmed: nobody keeps these tasks from running.\nHint: start one" in ran.err


@pytest.mark.parametrize(
    ("nodes", "there"),
    [
        ({"c": None}, "1 worker listens and does not answer (c@h)"),
        ({"c": None, "d": None}, "2 workers listen and do not answer (c@h, d@h)"),
    ],
)
def test_fleet__only_silent_workers(fleet: Callable[..., str], typed: Run, nodes: Any, there: str) -> None:
    """They take note when they go on: it is not true that nobody keeps the task from running, and none must be started."""
    ran = typed("revoketask", "1", "-A", fleet(**nodes))
    assert (ran.code, ran.out) == (69, "1: no queue holds it, and some workers do not answer.\n")
    assert ran.err.startswith(f"No worker has confirmed: {there}.\nHint: one that is busy ")
    assert "runworker" not in ran.err


def test_fleet__a_worker_that_answers_no(fleet: Callable[..., str], typed: Run) -> None:
    ran = typed("revoketask", "1", "-A", fleet(a={**holder("reserved"), "revoke": lambda **_: "no"}))
    assert (ran.code, ran.out) == (69, "1 (shop.add): a@h has taken it.\n")
    assert ran.err.startswith("a@h has not done it: it answers 'no'.\n")
    assert "No worker has confirmed.\nHint: the logs" in ran.err


def test_unconfirmed__on_a_broker_that_knows_only_consumers() -> None:
    there = Presence(silent=[], unknown=[], consumers={"celery": 2})
    with pytest.raises(Unreachable, match='no worker answers, and there are consumers of "celery"'):
        require_done([], Confirmed(workers=[], others=there), terminate=False)


def test_notes__of_a_terminal_do_not_break_words(monkeypatch: pytest.MonkeyPatch) -> None:
    command, err = TasktoolsCommand(stderr=io.StringIO()), io.StringIO()  # type: ignore[arg-type]
    monkeypatch.setattr(err, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    command.stderr = OutputWrapper(err)
    show(command, [], Confirmed(workers=["mails@web", "reports@web"]), None)
    assert max(map(len, err.getvalue().splitlines())) <= 40
    assert err.getvalue().split()[-2:] == ["own", "--statedb."]


def test_broker__that_is_silent_is_unreachable(elsewhere: Callable[..., str], typed: Run) -> None:
    with silent_port() as port:
        name = elsewhere(broker_url=f"redis://127.0.0.1:{port}/0")
        began = time.monotonic()
        ran = typed("revoketask", "1", "-A", name)
    assert (ran.code, ran.out) == (69, "")
    assert time.monotonic() - began < 30


def test_hostile_text__is_harmless(fleet: Callable[..., str], typed: Run) -> None:
    name = fleet(a=holder("active", HOSTILE), b={"revoke": lambda **_: {"error": HOSTILE}, "query_task": lambda ids: 5})
    ran = typed("revoketask", "1", "2", "-A", name)
    assert (ran.code, len(ran.out.splitlines())) == (0, 2)
    assert active((ran.out + ran.err).replace("\n", "")) == []
    assert json.loads(typed("revoketask", "1", "--json", "-A", name).out)["tasks"][0]["task"] == HOSTILE
