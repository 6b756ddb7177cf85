from __future__ import annotations

import logging
import operator
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from django.db import connections

from tasktools import every_worker
from tasktools.failures import storage
from tasktools.failures.failure import Mended
from tasktools.worker import failures


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was installed in a worker that starts: the table behind the writer."""
    made: list[Any] = []
    monkeypatch.setattr(failures, "install", lambda app, writer: made.append(writer._write.__self__))
    monkeypatch.setattr(every_worker.atexit, "register", lambda *_: None)
    monkeypatch.setattr(signals.worker_shutdown, "connect", lambda *_, **__: None)
    return made


def worker(module: str = "celery.apps.worker") -> Any:
    kind = type("Worker", (), {"__module__": module})
    made: Any = kind()
    made.app = SimpleNamespace(conf=SimpleNamespace(accept_content=["json"]))
    return made


def test_start__connects_a_receiver_and_no_more() -> None:
    every_worker.start()
    receivers = [each for each in signals.worker_init.receivers if each[0][0] == "tasktools.every_worker"]
    assert len(receivers) == 1


def test_worker__records_with_the_defaults(installed: list[Any]) -> None:
    every_worker.record_failures(worker())
    (made,) = installed
    assert (made.limit, made.age.days, made.form.hook, made.form.accept) == (10_000, 30, None, ["json"])


def test_worker__records_as_the_settings_say(installed: list[Any], settings: Any) -> None:
    settings.TASKTOOLS_FAILED_LIMIT, settings.TASKTOOLS_FAILED_AGE = None, "2d"
    settings.TASKTOOLS_FAILED_ARGUMENTS = "operator.add"
    every_worker.record_failures(worker())
    (made,) = installed
    assert (made.limit, made.age.days, made.form.hook.hook) == (None, 2, operator.add)


def test_worker__records_nothing_if_it_is_off_or_of_a_test(
    installed: list[Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_worker.record_failures(worker("celery.contrib.testing.worker"))
    with monkeypatch.context() as patch:
        patch.setattr(storage, "is_configured", lambda: False)
        every_worker.record_failures(worker())
    settings.TASKTOOLS_FAILED = False
    every_worker.record_failures(worker())
    assert installed == []


def test_worker__takes_the_default_where_a_setting_is_wrong_and_hides_all_without_its_hook(
    installed: list[Any], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TASKTOOLS_FAILED_LIMIT, settings.TASKTOOLS_FAILED_AGE = -1, "soon"
    settings.TASKTOOLS_FAILED_ARGUMENTS = "shop.nosuch"
    with caplog.at_level(logging.ERROR):
        every_worker.record_failures(worker())
    (made,) = installed
    assert (made.limit, made.age.days, made.form.hook("task", [], {})) == (10_000, 30, None)
    assert len(caplog.records) == 3
    assert 'TASKTOOLS_FAILED_ARGUMENTS is "shop.nosuch"' in caplog.text


def test_worker__starts_although_the_module_of_its_hook_ends_the_process(
    installed: list[Any],
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "privacy_that_ends.py").write_text("raise SystemExit('no key')")
    monkeypatch.syspath_prepend(tmp_path)
    settings.TASKTOOLS_FAILED_ARGUMENTS = "privacy_that_ends.masked"
    every_worker.record_failures(worker())
    (made,) = installed
    assert made.form.hook("task", [], {}) is None
    assert "cannot be imported: no key" in caplog.text


@pytest.mark.parametrize("told", [False, True])
def test_worker__does_not_say_again_that_the_table_is_missing(
    monkeypatch: pytest.MonkeyPatch, project: Any, installed: list[Any], told: bool
) -> None:
    writers: list[Any] = []
    monkeypatch.setattr(failures, "install", lambda app, writer: writers.append(writer))
    project.told_missing = told
    every_worker.record_failures(worker())
    assert writers[0]._absence.told is told


@pytest.mark.django_db(transaction=True)
def test_worker__leaves_no_open_connection_to_its_children(
    monkeypatch: pytest.MonkeyPatch, installed: list[Any], tmp_path: Path
) -> None:
    """The connection is one to a file, as a site has it."""
    writers: list[Any] = []
    hooks: list[dict[str, Any]] = []
    create = connections.create_connection

    def of_file(alias: str) -> Any:
        made = create(alias)
        made.settings_dict = {**made.settings_dict, "NAME": str(tmp_path / "db")}
        return made

    monkeypatch.setattr(connections, "create_connection", of_file)
    monkeypatch.setattr(failures, "install", lambda app, writer: writers.append(writer))
    monkeypatch.setattr(os, "register_at_fork", lambda **given: hooks.append(given))
    every_worker.record_failures(worker())
    writer = writers[0]
    own = writer._write.__self__._connection
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)  # this test is what writes
    writer.put(Mended(task_id="1"))
    [hook] = hooks
    with own.used("default") as open_one, open_one.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert open_one.connection is not None
    hook["before"]()
    assert open_one.connection is None
    hook["after_in_parent"]()


def test_worker__says_how_many_wait_for_its_hook(
    monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: pytest.LogCaptureFixture, installed: list[Any]
) -> None:
    writers: list[Any] = []
    monkeypatch.setattr(failures, "install", lambda app, writer: writers.append(writer))
    settings.TASKTOOLS_FAILED_ARGUMENTS = "operator.add"
    every_worker.record_failures(worker())
    writer = writers[0]
    writer._items.extend(range(7))
    assert writer._write.__self__.form.hook._waiting() == 7


def test_worker__starts_whatever_happens(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bool:
        raise RuntimeError("a router of the project's own")

    monkeypatch.setattr(storage, "is_configured", fail)
    every_worker.record_failures(worker())
    assert "Failed tasks are not recorded." in caplog.text


def test_worker__counts_by_minute_unless_it_is_of_a_test_or_has_no_place_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tasktools.worker import minutes

    made: list[Any] = []
    monkeypatch.setattr(minutes, "install", lambda app: made.append(app) or SimpleNamespace(finish=lambda: None))
    monkeypatch.setattr(signals.worker_shutdown, "connect", lambda *_, **__: None)
    for module, url in (("celery.contrib.testing.worker", "redis://h"), ("celery.apps.worker", "memory://")):
        starting = worker(module)
        starting.app = Celery("made", broker=url, set_as_current=False)
        every_worker.count_by_minute(starting)
    assert made == []
    starting.app = Celery("made", broker="redis://h", set_as_current=False)
    every_worker.count_by_minute(starting)
    assert made == [starting.app]


def test_worker__counts_the_last_hour_unless_the_setting_is_off(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasktools.worker import minutes

    made: list[Any] = []
    monkeypatch.setattr(minutes, "install", made.append)
    sender = SimpleNamespace(app=Celery("counted", broker="redis://h", set_as_current=False))
    every_worker.count_by_minute(sender)
    assert made == [sender.app]
    settings.TASKTOOLS_HOUR = False
    every_worker.count_by_minute(sender)
    assert made == [sender.app]


def test_worker__leaves_out_stale_questions() -> None:
    made = Celery("stale", broker="memory://", set_as_current=False)
    every_worker.start()
    receivers = [each[0][0] for each in signals.celeryd_init.receivers]
    assert "tasktools.drop_stale_questions" in receivers
    every_worker.drop_stale_questions(instance=SimpleNamespace(app=made))
    assert made.control.mailbox.node_cls.__name__ == "FreshNode"
