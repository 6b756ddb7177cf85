from __future__ import annotations

import asyncio
import signal
from datetime import datetime, timezone
from types import ModuleType
from typing import Any

import pytest
from billiard.common import _shutdown_cleanup
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded, WorkerLostError

from tasktools.framework import running, store
from tasktools.framework.library import Library

# What Celery itself calls of redis-py.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")


def test_run__returns_and_is_recorded(tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.add.enqueue(1, y=3)
    run(result)
    result.refresh()
    assert (result.status, result.return_value, result.worker_ids) == (lib.Status.SUCCESSFUL, 4, ["one@here"])
    assert result.enqueued_at <= result.started_at <= result.finished_at <= datetime.now(timezone.utc)
    assert result.last_attempted_at == result.started_at
    assert result.started_at.utcoffset().total_seconds() == 0


def test_run__a_stock_client_has_the_plain_result(app: Any, tasks: ModuleType, run: Any) -> None:
    result = tasks.add.enqueue(1, y=3)
    run(result)
    assert app.AsyncResult(result.id).get(timeout=60) == 4


def test_run__async_function(tasks: ModuleType, run: Any) -> None:
    result = tasks.later.enqueue(5)
    run(result)
    result.refresh()
    assert result.return_value == 5


def test_run__context(tasks: ModuleType, run: Any) -> None:
    result = tasks.told.enqueue("hi")
    run(result)
    run(result, "two@here")
    result.refresh()
    assert result.return_value == ["hi", 2, result.id]
    assert (result.attempts, result.worker_ids) == (2, ["one@here", "two@here"])
    assert result.last_attempted_at > result.started_at


def test_run__failure(tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.fail.enqueue()
    run(result)
    result.refresh()
    assert result.status == lib.Status.FAILED
    assert [error.exception_class for error in result.errors] == [tasks.Unlucky]
    assert result.errors[0].traceback.endswith("Unlucky: no luck\n")
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


def test_run__exit_is_a_failure(app: Any, tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.leave.enqueue()
    run(result)
    result.refresh()
    assert (result.status, result.errors[0].exception_class) == (lib.Status.FAILED, SystemExit)
    assert app.AsyncResult(result.id).state == "FAILURE"


def test_run__a_process_of_the_pool_that_is_ended__leaves_the_end_to_celery(
    app: Any, tasks: ModuleType, run: Any, lib: Library, monkeypatch: Any
) -> None:
    """SIGTERM to a process of the pool: the task was revoked, or the worker is shut down at once."""
    monkeypatch.setattr("billiard.common._should_have_exited", [False])
    monkeypatch.setattr("billiard.common.maybe_setsignal", lambda *_: None)
    result = tasks.add.enqueue(1)
    monkeypatch.setattr(running, "_call", lambda *_: _shutdown_cleanup(signal.SIGTERM, None))
    with pytest.raises(SystemExit):
        run(result)
    result.refresh()
    assert (result.status, result.errors) == (lib.Status.RUNNING, [])
    app.backend.mark_as_revoked(result.id, "terminated")
    result.refresh()
    assert (result.status, len(result.errors)) == (lib.Status.FAILED, 1)
    assert result.errors[0].exception_class_path == "celery.exceptions.TaskRevokedError"


def test_run__what_is_no_exception_is_a_failure(app: Any, tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.cancelled.enqueue()
    run(result)
    result.refresh()
    assert (result.status, result.errors[0].exception_class) == (lib.Status.FAILED, asyncio.CancelledError)
    found = app.AsyncResult(result.id).result
    assert (type(found).__name__, str(found)) == ("TaskExit", "The task raised CancelledError: stopped.")


def test_run__what_gevent_raises_is_for_celery(tasks: ModuleType, run: Any, lib: Library, monkeypatch: Any) -> None:
    class Timeout(BaseException):
        __module__ = "gevent.timeout"

    def late(*_: Any, **__: Any) -> None:
        raise Timeout

    result = tasks.add.enqueue(1)
    monkeypatch.setattr(running, "_call", late)
    with pytest.raises(Timeout):
        run(result)
    result.refresh()
    assert result.status == lib.Status.FAILED


def test_run__ignore_is_a_failure(tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.ignored.enqueue()
    run(result)
    result.refresh()
    assert (result.status, result.errors[0].exception_class) == (lib.Status.FAILED, Ignore)


@pytest.mark.parametrize(("requeue", "status"), [(True, "READY"), (False, "FAILED")])
def test_run__reject(tasks: ModuleType, run: Any, requeue: bool, status: str) -> None:
    result = tasks.rejected.enqueue(requeue)
    request = {"on_reject": lambda *_: None, "delivery_info": {"is_eager": False}}
    run(result, **request)
    result.refresh()
    assert (str(result.status), result.errors[0].exception_class) == (status, Reject)
    assert (result.finished_at is None) is requeue


@pytest.mark.parametrize("step", ["task_started", "task_finished", "write"])
def test_run__soft_time_limit_while_it_is_recorded(
    app: Any, tasks: ModuleType, run: Any, lib: Library, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The pool raises it once: who swallows it lets the task run until it is killed."""
    late = iter([SoftTimeLimitExceeded()])
    written = store.write

    def receive(*args: Any, **kwargs: Any) -> None:
        for error in late:
            raise error
        if args:
            written(*args, **kwargs)

    result = tasks.add.enqueue(1)
    signal = getattr(lib.signals, step, lib.signals.task_enqueued)
    signal.connect(receive)
    if step == "write":
        monkeypatch.setattr(store, "write", receive)
    try:
        run(result)
    finally:
        signal.disconnect(receive)
    assert app.AsyncResult(result.id).state == "FAILURE"
    result.refresh()
    assert (result.status, result.errors[-1].exception_class) == (lib.Status.FAILED, SoftTimeLimitExceeded)


@pytest.mark.parametrize("where", ["task", "message"])
def test_run__no_record_where_no_result_is_wanted(
    app: Any, tasks: ModuleType, run: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    result = tasks.add.enqueue(1)
    store.forget(app.backend, result.id)
    if where == "task":
        monkeypatch.setattr(app.tasks[tasks.add.module_path], "ignore_result", True)
    assert run(result, ignore_result=where == "message").retval == 3
    assert store.read(app.backend, result.id) is None


def test_run__value_that_is_not_json_is_a_failure(tasks: ModuleType, run: Any) -> None:
    result = tasks.give.enqueue()
    run(result)
    result.refresh()
    assert result.errors[0].exception_class is TypeError


def test_run__interrupt_ends_the_worker(tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.interrupted.enqueue()
    with pytest.raises(KeyboardInterrupt):
        run(result)
    result.refresh()
    assert (result.status, result.errors) == (lib.Status.RUNNING, [])


def test_run__retry_is_ready_again(tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.again.enqueue()
    run(result, called_directly=False)
    result.refresh()
    assert (result.status, result.attempts, result.finished_at) == (lib.Status.READY, 1, None)
    assert result.errors[0].exception_class is tasks.Unlucky


def test_run__signals(tasks: ModuleType, run: Any, lib: Library) -> None:
    seen = []

    def receive(signal: Any, sender: Any, task_result: Any, **_: Any) -> None:
        seen.append((signal is lib.signals.task_started, sender.__name__, str(task_result.status)))

    signals = (lib.signals.task_started, lib.signals.task_finished)
    for each in signals:
        each.connect(receive)
    try:
        run(tasks.add.enqueue(1))
        run(tasks.fail.enqueue())
    finally:
        for each in signals:
            each.disconnect(receive)
    name = "CeleryBackend"
    assert seen == [
        (True, name, "RUNNING"),
        (False, name, "SUCCESSFUL"),
        (True, name, "RUNNING"),
        (False, name, "FAILED"),
    ]


@pytest.mark.parametrize("name", ["task_started", "task_finished"])
def test_run__a_receiver_that_raises_changes_nothing(
    tasks: ModuleType, run: Any, lib: Library, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    def receive(**_: Any) -> None:
        raise ValueError("mine")

    signal = getattr(lib.signals, name)
    signal.connect(receive)
    try:
        result = tasks.add.enqueue(1)
        assert run(result).retval == 3
    finally:
        signal.disconnect(receive)
    result.refresh()
    assert result.return_value == 3
    assert "mine" in caplog.text


def test_run__without_a_record_it_is_made_of_the_message(app: Any, tasks: ModuleType, run: Any) -> None:
    result = tasks.add.using(priority=9).enqueue(1)
    kept = result.enqueued_at
    store.forget(app.backend, result.id)
    header = {"priority": 9, "backend": "default", "queue_name": "default", "enqueued_at": kept.isoformat()}
    run(result, django_task=header, retries=2)
    found = tasks.add.get_result(result.id)
    assert (found.enqueued_at, found.task.priority, found.attempts, found.return_value) == (kept, 9, 3, 3)


@pytest.mark.parametrize(
    "header",
    [
        None,
        7,
        {"priority": "x", "run_after": 3, "enqueued_at": "soon"},
        {"enqueued_at": "0001-01-01T00:00:00+09:00"},
        {"backend": "gone"},
    ],
)
def test_run__a_header_that_is_wrong_harms_nothing(app: Any, tasks: ModuleType, run: Any, header: Any) -> None:
    result = tasks.add.enqueue(1)
    store.forget(app.backend, result.id)
    assert run(result, django_task=header).retval == 3


def test_run__goes_on_without_the_result_backend(
    tasks: ModuleType, run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    result = tasks.add.enqueue(1)

    def refuse(*_: Any) -> None:
        raise OSError("gone")

    monkeypatch.setattr(store, "read", refuse)
    monkeypatch.setattr(store, "write", refuse)
    assert run(result).retval == 3
    assert "cannot be read: OSError: gone" in caplog.text


def test_run__the_log_has_no_arguments(
    tasks: ModuleType, run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLAlchemy shows the statement, and what it stores."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no table at redis://:geheim@db\n[SQL: INSERT INTO results VALUES (?)]\n[parameters: ('4111')]")

    result = tasks.add.enqueue(1)
    monkeypatch.setattr(store, "write", refuse)
    run(result)
    assert "cannot be written: OSError: no table at redis://" in caplog.text
    assert "4111" not in caplog.text
    assert "geheim" not in caplog.text


def test_ended__by_celery_alone(app: Any, tasks: ModuleType, lib: Library) -> None:
    killed, revoked = tasks.add.enqueue(1), tasks.add.enqueue(2)
    app.backend.mark_as_failure(killed.id, WorkerLostError("signal 9"), traceback="Traceback: lost")
    app.backend.mark_as_revoked(revoked.id, "revoked")
    for each in (killed, revoked):
        each.refresh()
        assert each.status == lib.Status.FAILED
        assert each.finished_at >= each.enqueued_at
    assert [(error.exception_class, error.traceback) for error in killed.errors] == [
        (WorkerLostError, "Traceback: lost")
    ]
    assert revoked.errors[0].exception_class_path == "celery.exceptions.TaskRevokedError"


def test_ended__an_earlier_attempt_does_not_count(app: Any, tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.interrupted.enqueue()
    app.backend.mark_as_failure(result.id, WorkerLostError("signal 9"))
    with pytest.raises(KeyboardInterrupt):
        run(result)
    result.refresh()
    assert result.status == lib.Status.RUNNING


def test_ended__the_worker_could_not_write_it(
    tasks: ModuleType, run: Any, lib: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = store.write

    def refuse_the_end(backend: Any, task_id: str, record: dict[str, Any]) -> None:
        if record["status"] != "RUNNING":
            raise OSError("gone")
        written(backend, task_id, record)

    result = tasks.add.enqueue(1)
    monkeypatch.setattr(store, "write", refuse_the_end)
    run(result)
    result.refresh()
    assert (result.status, result.return_value) == (lib.Status.SUCCESSFUL, 3)
    assert result.finished_at >= result.started_at


def test_ended__an_earlier_success_does_not_count(app: Any, tasks: ModuleType, run: Any, lib: Library) -> None:
    result = tasks.interrupted.enqueue()
    app.backend.mark_as_done(result.id, 5)
    with pytest.raises(KeyboardInterrupt):
        run(result)
    result.refresh()
    assert result.status == lib.Status.RUNNING


def test_eager__runs_here(tasks: ModuleType, eager: None, lib: Library) -> None:
    result = tasks.told.enqueue("hi")
    assert (result.status, result.return_value) == (lib.Status.SUCCESSFUL, ["hi", 1, result.id])
    assert tasks.fail.enqueue().errors[0].exception_class is tasks.Unlucky


def test_eager__arguments_that_do_not_fit_are_refused(tasks: ModuleType, eager: None) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        tasks.add.enqueue(1, 2, 3)


def test_eager__nothing_can_be_deferred(tasks: ModuleType, eager: None, lib: Library) -> None:
    with pytest.raises(lib.InvalidTask, match="does not support run_after"):
        tasks.add.using(run_after=datetime.now(timezone.utc)).enqueue(1)


def test_times__are_naive_and_local_without_use_tz(tasks: ModuleType, run: Any, settings: Any) -> None:
    settings.USE_TZ = False
    result = tasks.add.enqueue(1)
    run(result)
    assert result.enqueued_at == tasks.add.get_result(result.id).enqueued_at
    result.refresh()
    assert result.finished_at.tzinfo is None
    assert result.finished_at >= result.enqueued_at
