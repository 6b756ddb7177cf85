"""One id's result that cannot be read is that one's trouble: the backend answers, and the others are shown."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran

Run = Callable[..., Ran]

HINT = "another program has written it, or a worker with another CELERY_RESULT_SERIALIZER"

ODD = {
    "no JSON": "{not json",
    "not UTF-8": b"\xff\xfe{}",
    "a list": "[1, 2]",
    "a number": "17",
    "null": "null",
    "an object without a status": '{"result": 4}',
    "a status that is a list": '{"status": ["SUCCESS"], "result": 4}',
    "a status that is null": '{"status": null, "result": 4}',
    "an exception of no exception's type": (
        '{"status": "FAILURE", "result": {"exc_type": "int", "exc_module": "builtins", "exc_message": "1"}}'
    ),
    "an exception without a type": '{"status": "FAILURE", "result": {"exc_message": "1"}}',
    "an exception that is a number": '{"status": "FAILURE", "result": 17}',
    "brackets without end": "[" * 100_000,
}


@pytest.fixture(params=["redis", "cache", "filesystem", "database"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, app: Any, elsewhere: Callable[..., str]) -> str:
    """An app with a result backend of each kind."""
    (tmp_path / "results").mkdir()
    url = {
        "redis": app.conf.result_backend,
        "cache": "cache+memory://",
        "filesystem": f"file://{tmp_path}/results",
        "database": f"db+sqlite:///{tmp_path}/results.sqlite",
    }[request.param]
    return elsewhere(broker_url="memory://", result_backend=url)


def app_of(name: str) -> Any:
    return sys.modules[name.partition(":")[0]].app  # type: ignore[attr-defined]


def put(app: Any, task_id: str, content: Any) -> None:
    """Write what stands for a result, as it is."""
    if hasattr(app.backend, "client") and hasattr(app.backend.client, "rpush"):  # Redis
        app.backend.client.set(app.backend.get_key_for_task(task_id), content)
        return
    app.backend.set(app.backend.get_key_for_task(task_id), content)


def nothing() -> None: ...


def refused(done: Ran, task_id: str) -> None:
    first, hint = done.err.splitlines()
    assert first.startswith(f"The result of {task_id} cannot be read: "), first
    assert hint == f"Hint: {HINT}"
    assert (done.out, done.code) == ("", 1)


@pytest.mark.usefixtures("server_that_ends_with_the_suite")
@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
@pytest.mark.parametrize("backend", ["redis", "cache", "filesystem"], indirect=True)
def test_unreadable__is_said_of_that_id(run_command: Run, backend: str, content: Any) -> None:
    task_id = str(uuid.uuid4())
    put(app_of(backend), task_id, content)
    refused(run_command("taskresult", "-A", backend, task_id), task_id)


@pytest.mark.usefixtures("server_that_ends_with_the_suite")
def test_unreadable__a_key_of_the_wrong_type(run_command: Run, app: Any) -> None:
    task_id = str(uuid.uuid4())
    app.backend.client.rpush(app.backend.get_key_for_task(task_id), "x")
    done = run_command("taskresult", task_id)
    refused(done, task_id)
    assert "WRONGTYPE" in done.err


@pytest.mark.parametrize("backend", ["filesystem"], indirect=True)
def test_unreadable__a_folder_where_the_file_should_be(run_command: Run, backend: str) -> None:
    task_id = str(uuid.uuid4())
    key = app_of(backend).backend.get_key_for_task(task_id).decode()
    Path(app_of(backend).backend.path.decode(), key).mkdir()
    refused(run_command("taskresult", "-A", backend, task_id), task_id)


@pytest.mark.parametrize("backend", ["database"], indirect=True)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_unreadable__in_a_database(run_command: Run, backend: str, tmp_path: Path) -> None:
    task_id = str(uuid.uuid4())
    app_of(backend).backend.store_result(task_id, 4, "SUCCESS")
    with contextlib.closing(sqlite3.connect(tmp_path / "results.sqlite")) as database, database:
        database.execute("UPDATE celery_taskmeta SET result = ?", (b"{not json",))
    refused(run_command("taskresult", "-A", backend, task_id), task_id)


def test_unreadable__pickled_and_not_accepted(run_command: Run, elsewhere: Callable[..., str], tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    writer = elsewhere(
        broker_url="memory://", result_backend=url, result_serializer="pickle", accept_content=["pickle"]
    )
    app_of(writer).backend.store_result("one", {1, 2}, "SUCCESS")
    reader = elsewhere(broker_url="memory://", result_backend=url, result_serializer="pickle", accept_content=["json"])
    done = run_command("taskresult", "-A", reader, "one")
    assert done.err.splitlines()[1] == (
        "Hint: name the serializer that it was written with in CELERY_RESULT_ACCEPT_CONTENT"
    )
    assert done.code == 1


@pytest.fixture
def mixed(elsewhere: Callable[..., str]) -> str:
    """An app that knows of three tasks: one that is done, one that cannot be read, one that is pending."""
    name = elsewhere(broker_url="memory://", result_backend="cache+memory://")
    put(app_of(name), "unreadable", "{")
    app_of(name).backend.store_result("done", 4, "SUCCESS")
    return name


def test_several__the_others_are_shown(run_command: Run, mixed: str) -> None:
    done = run_command("taskresult", "-A", mixed, "unreadable", "pending", "done")
    assert (done.out, done.code) == ("done 4\n", 1)
    first, second, hint = done.err.splitlines()
    assert first.startswith("The result of unreadable cannot be read: DecodeError: ")
    assert second.startswith("pending is PENDING: no worker that answers has it")
    assert hint == f"Hint: {HINT}"


def test_several__a_failure_is_graver(run_command: Run, mixed: str) -> None:
    app_of(mixed).backend.store_result("failed", ValueError("broken"), "FAILURE")
    done = run_command("taskresult", "-A", mixed, "unreadable", "failed")
    assert done.err.splitlines()[0] == "failed failed: ValueError: broken"
    assert done.code == 1


def test_json__it_is_an_object_too(run_command: Run, mixed: str) -> None:
    done = run_command("taskresult", "-A", mixed, "unreadable", "done", "--json")
    unreadable, finished = map(json.loads, done.out.splitlines())
    assert (unreadable["id"], unreadable["state"], unreadable["error"]["type"]) == (
        "unreadable",
        "UNREADABLE",
        "DecodeError",
    )
    assert unreadable["result"] is None
    assert (finished["id"], finished["result"], done.code) == ("done", 4, 1)


def test_wait__does_not_end_early_for_the_others(run_command: Run, mixed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of(mixed)
    looks: list[str] = []

    def get(task_id: str) -> Any:
        looks.append(task_id)
        if looks.count("pending") == 3:
            app.backend.store_result("pending", 5, "SUCCESS")
        return type(app.backend).get_task_meta(app.backend, task_id)

    monkeypatch.setattr(app.backend, "get_task_meta", get)
    done = run_command("taskresult", "-A", mixed, "unreadable", "pending", "--wait", "--interval", "1ms")
    assert (done.out, done.code) == ("pending 5\n", 1)
    assert looks.count("unreadable") == 2  # and once more to be sure


def test_enqueue_wait__says_it_too(run_command: Run, mixed: str) -> None:
    put(app_of(mixed), "mine", "[]")
    app_of(mixed).task(nothing, name="one", shared=False)
    done = run_command("enqueue", "-A", mixed, "one", "--task-id", "mine", "--wait", "--timeout", "5s")
    assert done.err.splitlines()[1].startswith("The result of mine cannot be read: ")
    assert done.code == 1


def test_a_backend_that_broke_off_once__is_not_taken_for_an_unreadable_result(
    run_command: Run, mixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(mixed)
    looks: list[str] = []

    def get(task_id: str) -> Any:
        looks.append(task_id)
        if len(looks) == 1:
            raise ConnectionResetError("reset by peer")
        return type(app.backend).get_task_meta(app.backend, task_id)

    monkeypatch.setattr(app.backend, "get_task_meta", get)
    assert run_command("taskresult", "-A", mixed, "done") == Ran("4\n", "", 0)


def test_a_backend_that_knows_no_such_id__is_not_called_unreachable(
    run_command: Run, mixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(mixed)

    def get(task_id: str) -> Any:
        uuid.UUID(task_id)
        return type(app.backend).get_task_meta(app.backend, task_id)

    monkeypatch.setattr(app.backend, "get_task_meta", get)
    done = run_command("taskresult", "-A", mixed, "done")
    sentence = "The result of done cannot be read: ValueError: badly formed hexadecimal UUID string."
    assert (done.err.splitlines()[0], done.code) == (sentence, 1)
