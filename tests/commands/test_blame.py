"""Errors of the project's own code and settings are not the broker's: nothing was sent, and the sentence says so."""

from __future__ import annotations

import io
import ssl
import sys
import uuid
from _sitebuiltins import Quitter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task
from celery.result import EagerResult
from celery.signals import before_task_publish
from django.core.management.base import CommandError
from kombu.transport.virtual import Channel
from redis.exceptions import NoPermissionError

from tasktools.arguments.call import Call
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ProjectError, Unreachable
from tasktools.project import Project
from tasktools.publishing.batch import enqueue_many


@pytest.fixture(params=["private", "memory"])
def shop(request: pytest.FixtureRequest, app: Any, project: Project) -> Iterator[Any]:
    """An app of the project's own, on the private Valkey (KeyError is among the connection errors of Redis) or in memory."""
    broker = app.conf.broker_url if request.param == "private" else "memory://"
    made = Celery("blamed", broker=broker, set_as_current=False)
    made.task(name="blamed.add", shared=False)(_add)
    made.conf.task_default_queue = f"blamed-{uuid.uuid4()}"
    project.found = Found(app=made)
    yield made
    made.close()


def _add(x: int, y: int) -> int:
    return x + y


def _keyed(*_: Any, **__: Any) -> Any:
    return {}["europe"]


def _no_file(*_: Any, **__: Any) -> Any:
    raise FileNotFoundError(2, "No such file", "routes.ini")


def _exit(*_: Any, **__: Any) -> Any:
    raise SystemExit("no licence")


ERRORS = [
    (_keyed, "KeyError: 'europe'"),
    (_no_file, "FileNotFoundError: [Errno 2] No such file: 'routes.ini'"),
    (_exit, "SystemExit: no licence"),
]


@pytest.mark.parametrize(("router", "told"), ERRORS)
def test_blame__a_router_that_raises(run_command: Any, shop: Any, router: Any, told: str) -> None:
    shop.conf.task_routes = (router,)
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert (done.code, done.out) == (2, "")
    place = f"({__file__}, line {router.__code__.co_firstlineno + 1})"
    sentence = f"No queue can be found for blamed.add: {told} {place}."
    assert done.err.splitlines()[0] == f"{sentence} Nothing was sent."
    dry = run_command("enqueue", "blamed.add", "1", "2", "--dry-run")
    assert (dry.code, dry.out) == (2, "")
    assert dry.err.splitlines()[0] == sentence


def test_blame__a_route_to_a_queue_that_does_not_exist(run_command: Any, shop: Any) -> None:
    shop.conf.task_create_missing_queues = False
    shop.conf.task_routes = {"blamed.add": {"queue": "nowhere"}}
    why = '"nowhere" is not in CELERY_TASK_QUEUES, and CELERY_TASK_CREATE_MISSING_QUEUES is off'
    sentence = f"No queue can be found for blamed.add: {why}."
    for words, expected in (((), f"{sentence} Nothing was sent."), (("--dry-run",), sentence)):
        done = run_command("enqueue", "blamed.add", "1", "2", *words)
        assert (done.code, done.err.splitlines()[0]) == (2, expected)


def test_blame__a_router_that_looks_at_the_arguments(run_command: Any, shop: Any) -> None:
    shop.conf.task_routes = (lambda name, args, *_, **__: {"queue": f"blamed-{args[0]}"},)
    assert run_command("enqueue", "blamed.add", "1", "2", "--dry-run").code == 0
    shown = run_command("showtasks", "blamed.add")
    assert shown.code == 0, shown.err
    assert "(x: int, y: int)" in shown.out


def test_blame__a_receiver_of_a_signal_is_logged_by_celery(run_command: Any, shop: Any) -> None:
    before_task_publish.connect(_keyed, weak=False, dispatch_uid="blame")
    try:
        assert run_command("enqueue", "blamed.add", "1", "2").code == 0
    finally:
        before_task_publish.disconnect(dispatch_uid="blame")


def test_blame__a_compression_that_does_not_exist(run_command: Any, shop: Any) -> None:
    shop.conf.task_compression = "zipp"
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert done.code == 2
    assert done.err.startswith("blamed.add could not be sent: ")
    assert "zipp" in done.err


def test_blame__code_that_fails_when_it_has_sent(run_command: Any, shop: Any) -> None:
    class Careless(Task):
        abstract = True

        def apply_async(self, *args: Any, **options: Any) -> Any:
            super().apply_async(*args, **options)
            raise KeyError("too late")

    shop.task(name="blamed.careless", base=Careless, shared=False)(_add)
    done = run_command("enqueue", "careless", "1", "2")
    assert done.code == 1
    assert done.err.startswith("blamed.careless was sent, and code of the project failed then: KeyError: 'too late'.")


def test_blame__the_broker_still_is_in_doubt(run_command: Any, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionResetError("gone")

    monkeypatch.setattr(Channel, "typeof", fail)
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert done.code == 69
    assert "broke off: gone. Whether blamed.add was sent cannot be known." in done.err


def test_blame__a_broker_that_answers_and_refuses(run_command: Any, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise NoPermissionError("User shop has no permissions to run the 'lpush' command")

    monkeypatch.setattr(Channel, "typeof", fail)
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert done.code == 69
    sentence, hint = done.err.splitlines()
    assert sentence.endswith("refuses: User shop has no permissions to run the 'lpush' command. Nothing was sent.")
    assert hint.startswith("Hint: allow its user that on the server (ACL SETUSER)")


def test_blame__a_router_that_is_refused_is_not_the_broker(run_command: Any, shop: Any) -> None:
    def route(*_: Any, **__: Any) -> Any:
        raise NoPermissionError("no")

    shop.conf.task_routes = (route,)
    line = route.__code__.co_firstlineno + 1
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        f"No queue can be found for blamed.add: NoPermissionError: no ({__file__}, line {line}). Nothing was sent.",
    )


def test_blame__a_broker_that_py_amqp_talks_to_is_in_doubt(
    run_command: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr("kombu.messaging.Producer._publish", _standing_in("amqp.channel", fail))
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert done.code == 69
    assert "Connection reset by peer. Whether blamed.add was sent cannot be known." in done.err


@pytest.mark.parametrize(("router", "told"), ERRORS[:2])
def test_blame__many_calls__a_router_that_raises(
    run_command: Any, shop: Any, tmp_path: Path, router: Any, told: str
) -> None:
    shop.conf.task_routes = (router,)
    with pytest.raises(ProjectError, match=r"blamed\.add could not be sent") as caught:
        list(enqueue_many(shop, [Call(task="blamed.add", args=(1, 2))]))
    assert caught.value.sentence == f"blamed.add could not be sent: {told}."
    (tmp_path / "calls.jsonl").write_text("[1, 2]\n")
    done = run_command("enqueue", "blamed.add", from_file=str(tmp_path / "calls.jsonl"))
    assert done.code == 2
    assert f"blamed.add could not be sent: {told}." in done.err


def test_blame__many_calls__the_broker_s_errors_stay_the_broker_s(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionResetError("gone")

    monkeypatch.setattr(Channel, "typeof", fail)
    with pytest.raises(Unreachable, match="broke off: gone"):
        list(enqueue_many(shop, [Call(task="blamed.add", args=(1, 2))]))


class Once(Task):
    """Runs once at a time, as libraries for such tasks do it."""

    abstract = True
    answer: Any = None

    def apply_async(self, *args: Any, **options: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "returned"),
    [
        (None, "nothing"),
        (EagerResult(None, None, "REJECTED"), "a EagerResult without an id"),
        (False, "a bool without an id"),
    ],
)
@pytest.mark.parametrize("eager", [False, True])
def test_blame__a_task_that_declines(run_command: Any, shop: Any, answer: Any, returned: str, eager: bool) -> None:
    shop.conf.task_always_eager = eager
    shop.task(name="blamed.once", base=Once, answer=answer, shared=False)(_add)
    done = run_command("enqueue", "once", "1", "2")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(
        f"blamed.once declined the call: its apply_async returned {returned}.\nHint: a task that may"
    )


def test_blame__many_calls_of_a_task_that_declines(run_command: Any, shop: Any, tmp_path: Path) -> None:
    shop.task(name="blamed.once", base=Once, shared=False)(_add)
    (tmp_path / "calls.jsonl").write_text("[1, 2]\n[1, 2]\n")
    done = run_command("enqueue", "once", from_file=str(tmp_path / "calls.jsonl"))
    assert done.code == 0, done.err
    assert "blamed.once declined 2 of the calls: nothing was sent for these, and nobody knows their ids." in done.err


@pytest.mark.parametrize("option", [("--countdown", "5"), ("--eta", "2099-01-01T00:00"), ("--expires", "5m")])
def test_blame__a_time_zone_that_does_not_exist(run_command: Any, shop: Any, option: tuple[str, str]) -> None:
    shop.conf.timezone = "America/New_Yrok"
    done = run_command("enqueue", "blamed.add", "1", "2", *option)
    assert done.code == 2
    assert done.err.startswith(
        'CELERY_TIMEZONE is "America/New_Yrok", and there is no such time zone.\nHint: did you mean'
    )


def test_blame__a_time_zone_is_not_asked_for_where_no_time_is(run_command: Any, shop: Any) -> None:
    shop.conf.timezone = "America/New_Yrok"
    assert run_command("enqueue", "blamed.add", "1", "2").code == 0


@pytest.mark.parametrize("command", ["runworker", "runbeat"])
def test_blame__worker_and_beat_refuse_such_a_time_zone(run_command: Any, shop: Any, command: str) -> None:
    shop.conf.timezone = "America/New_Yrok"
    done = run_command(command, noreload=True)
    assert done.code == 2
    assert done.err.startswith('CELERY_TIMEZONE is "America/New_Yrok"')


def test_blame__a_system_check_that_calls_exit_leaves_stdin_open(
    run_command: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr("django.core.management.base.BaseCommand.check", lambda *_, **__: Quitter("exit", "")(1))
    done = run_command("runworker", noreload=True, skip_checks=False)
    assert (done.code, done.err.splitlines()[0]) == (2, "The system checks cannot be run: SystemExit: 1.")
    assert not sys.stdin.closed
    sys.stdin.close()


def test_blame__what_the_system_checks_find_is_not_code_that_fails(
    run_command: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*_: Any, **__: Any) -> None:
        raise CommandError("SystemCheckError: found")

    monkeypatch.setattr("django.core.management.base.BaseCommand.check", find)
    done = run_command("runworker", noreload=True, skip_checks=False)
    assert (done.code, done.err) == (1, "SystemCheckError: found")


@pytest.mark.parametrize("words", [("taskresult", "an-id"), ("enqueue", "blamed.add", "1", "2"), ("showtasks",)])
def test_blame__queues_that_are_none(run_command: Any, shop: Any, words: tuple[str, ...]) -> None:
    shop.conf.task_queues = ["fast"]
    done = run_command(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("CELERY_TASK_QUEUES has 'fast', which is no queue.\nHint: ")


def test_blame__a_broker_setting_that_the_transport_cannot_use(run_command: Any, shop: Any, monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TypeError("'bool' object is not iterable")

    monkeypatch.setattr("kombu.connection.Connection.ensure_connection", fail)
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert done.code == 2
    assert done.err.startswith('The broker "')
    assert (
        "\" cannot be used: TypeError: 'bool' object is not iterable. Nothing was sent.\nHint: see the settings"
        in done.err
    )


def test_blame__a_result_backend_that_cannot_be_made(run_command: Any, shop: Any) -> None:
    shop.conf.result_backend = "nosuch://"
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert (done.code, done.out) == (2, "")
    sentence = "The result backend \"nosuch://\" cannot be used: No module named 'nosuch'. Nothing was sent."
    assert done.err == f"{sentence}\nHint: fix CELERY_RESULT_BACKEND, or install its library"


def test_blame__a_result_backend_that_does_not_answer_is_not_the_broker(
    run_command: Any, shop: Any, monkeypatch: Any
) -> None:
    def fail(*_: Any) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("celery.backends.base.Backend.on_task_call", _standing_in("celery.backends.some", fail))
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert done.code == 69
    assert done.err.startswith("The result backend cannot be asked for the result: ")
    assert "refused. Nothing was sent." in done.err


def test_blame__a_result_backend_whose_certificate_nobody_trusts(
    run_command: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ConnectionError("cannot connect") from ssl.SSLCertVerificationError(1, "certificate verify failed")

    monkeypatch.setattr("celery.backends.base.Backend.on_task_call", _standing_in("celery.backends.some", fail))
    done = run_command("enqueue", "blamed.add", "1", "2")
    assert done.code == 69
    assert done.err.startswith("The result backend cannot be asked for the result: ")


def _standing_in(module: str, call: Any) -> Any:
    """Return a function that calls `call` and seems to stand in that module."""
    scope = {"__name__": module, "call": call}
    exec("def calling(*args, **options):\n    call()\n", scope)
    return scope["calling"]
