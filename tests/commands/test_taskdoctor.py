"""taskdoctor without --live, and --live with brokers that need no server. Faults of servers are in tests/e2e."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.beat import Scheduler
from django.db import OperationalError

from tasktools.doctor import failed_tasks, live
from tasktools.doctor.findings import Section, ok
from tasktools.doctor.workers import Worker
from tasktools.exceptions import AppError
from tasktools.failures import access
from tasktools.management import doctor_reading
from tasktools.management.commands import taskdoctor
from tasktools.overview import tables
from tasktools.project import Project
from tests.conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test ask the database, which most of them do not have."""
    monkeypatch.setattr(access, "is_missing", lambda: False)


def lines(ran: Ran) -> dict[tuple[str, str], dict[str, Any]]:
    document = json.loads(ran.out)
    return {(section["name"], line["name"]): line for section in document["sections"] for line in section["lines"]}


def test_page__says_what_is(typed: Run) -> None:
    ran = typed("taskdoctor")
    assert ran.code == 0, ran.out
    assert 'ok       app: app: tasktools.celery:app, called "tests"\n' in ran.out
    assert "ok       app: for Celery: celery -A tasktools.celery:app\n" in ran.out
    assert "ok       settings: task_track_started: True  [settings: CELERY_TASK_TRACK_STARTED]\n" in ran.out
    assert "  [tasktools: the private Valkey]\n" in ran.out
    assert "ok       tasks: slow: 1 task: bound\n" in ran.out
    assert "ok       schedule: entries: none\n" in ran.out
    assert 'ok       failed tasks: record: in the database "default"\n' in ran.out
    assert "ok       checks: checks: no findings, with those of --deploy\n" in ran.out
    for package in ("python", "django", "celery", "kombu", "redis", "django-tasktools"):
        assert f"ok       versions: {package}: " in ran.out
    assert ran.err == "Nothing is wrong.\n"


def test_json__is_one_document(typed: Run) -> None:
    ran = typed("taskdoctor", "--json")
    document = json.loads(ran.out)
    assert (document["status"], document["errors"], document["warnings"], document["live"]) == ("ok", 0, 0, False)
    names = ["app", "settings", "tasks", "schedule", "failed tasks", "versions", "checks"]
    assert [section["name"] for section in document["sections"]] == names
    found = lines(ran)["settings", "timezone"]
    assert found == {
        "status": "ok",
        "name": "timezone",
        "text": "Europe/Berlin",
        "remedy": "",
        "source": "settings: CELERY_TIMEZONE",
        "seconds": None,
    }
    assert ran.err == ""


@pytest.mark.parametrize("words", [("-A", "nosuch"), ("--nosuch",)])
def test_usage__ends_with_2(typed: Run, words: tuple[str, ...]) -> None:
    assert typed("taskdoctor", *words).code == 2


RECORD = ("failed tasks", "record")


def test_record__of_a_site_that_is_not_migrated(typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "is_missing", lambda: True)
    ran = typed("taskdoctor", "--json")
    found = lines(ran)[RECORD]
    assert (found["status"], found["remedy"], ran.code) == ("warning", "python manage.py migrate tasktools", 0)
    assert found["text"] == 'Failed tasks are not recorded: their table is not in the database "default".'


def test_schedule__whose_tables_are_missing(
    typed: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "app_of", lambda kind: SimpleNamespace(label="beat_app") if kind is Scheduler else None)
    monkeypatch.setattr(tables, "lacking", lambda app: "other")
    ran = typed("taskdoctor", "--json", "-A", elsewhere(broker_url="memory://", beat_scheduler="celery.beat:Scheduler"))
    found = lines(ran)["schedule", "schedule"]
    assert (found["status"], found["remedy"], ran.code) == (
        "error",
        "python manage.py migrate beat_app --database=other",
        1,
    )
    assert found["text"] == ("The scheduler keeps its data in the database, and tables of beat_app are missing there.")


def test_record__whose_database_is_away_or_slow(typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def fail() -> bool:
        raise OperationalError("connection refused")

    monkeypatch.setattr(access, "is_missing", fail)
    found = lines(typed("taskdoctor", "--json"))[RECORD]
    assert found["status"] == "error"
    assert found["text"].endswith('the database "default" cannot be used: connection refused.')
    monkeypatch.setattr(doctor_reading, "RECORD_LIMIT", 0.05)
    monkeypatch.setattr(access, "is_missing", lambda: released.wait(60))
    found = lines(typed("taskdoctor", "--json"))[RECORD]
    released.set()
    assert found["text"].endswith('the database "default" does not answer within 0.05 s.')


def test_record__that_is_off_asks_no_database(typed: Run, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(access, "is_missing", lambda: asked.append(True))
    with monkeypatch.context() as patch:
        patch.setattr(failed_tasks, "is_configured", lambda: False)
        assert lines(typed("taskdoctor", "--json"))[RECORD]["text"] == "off: the site has no database"
    settings.TASKTOOLS_FAILED = False
    found = lines(typed("taskdoctor", "--json"))[RECORD]
    assert (found["status"], found["text"], asked) == ("ok", "off, by TASKTOOLS_FAILED", [])


def test_app__that_cannot_be_found_is_an_error_beside_the_rest(typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: object, name: str | None) -> None:
        raise AppError("There is none.", hint="make one")

    monkeypatch.setattr(taskdoctor.Command, "find_app", fail)
    ran = typed("taskdoctor", "--live")
    assert ran.out.startswith("error    app: app: There is none.\n         Hint: make one\n")
    assert "ok       versions: celery: " in ran.out
    assert "broker" not in ran.out
    assert (ran.code, ran.err) == (1, "1 error.\n")


@pytest.mark.parametrize(
    ("typed_name", "named", "how"),
    [(True, None, "named by -A"), (False, "x:y", "named by TASKTOOLS_APP"), (False, None, "the ready-made app")],
)
def test_app__how_it_was_found(
    typed: Run, elsewhere: Callable[..., str], settings: Any, typed_name: bool, named: str | None, how: str
) -> None:
    if named:
        settings.TASKTOOLS_APP = named
    words = ["-A", elsewhere(broker_url="memory://")] if typed_name else []
    assert lines(typed("taskdoctor", "--json", *words))["app", "found"]["text"].startswith(how)


def test_app__of_the_project(typed: Run, elsewhere: Callable[..., str], project: Project) -> None:
    typed("taskdoctor", "-A", elsewhere(broker_url="memory://"))  # which makes it the project's
    assert lines(typed("taskdoctor", "--json"))["app", "found"]["text"] == "the project's own app"


def test_schedule__its_entries_in_words(typed: Run, elsewhere: Callable[..., str]) -> None:
    entries = {
        "nightly": {"task": "tests.site.tasks.total", "schedule": 30, "args": ["secret"]},
        "broken": {"task": "tests.site.tasks.total", "schedule": "hourly"},
    }
    ran = typed("taskdoctor", "--json", "-A", elsewhere(broker_url="memory://", beat_schedule=entries))
    assert lines(ran)["schedule", "nightly"]["text"] == "tests.site.tasks.total, every 30 s (from code)"
    assert lines(ran)["schedule", "broken"]["text"] == "cannot be read; see the checks (from code)"
    assert lines(ran)["checks", "tasktools.E012"]["status"] == "error"
    assert lines(ran)["checks", "tasktools.E012"]["remedy"].startswith("give seconds")
    assert lines(ran)["settings", "beat_schedule"]["text"] == "2 entries"
    assert "secret" not in ran.out
    assert ran.code == 1


def test_checks__a_warning_ends_with_0(typed: Run, elsewhere: Callable[..., str], settings: Any) -> None:
    name = elsewhere(broker_url="memory://", task_serializer="pickle", accept_content=["json"])
    ran = typed("taskdoctor", "--json", "-A", name)
    assert lines(ran)["checks", "tasktools.W020"]["status"] == "warning"
    assert ran.code == 0
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W020"]
    assert ("checks", "tasktools.W020") not in lines(typed("taskdoctor", "--json", "-A", name))


def test_checks__with_those_of_deployment(
    typed: Run, settings: Any, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasktools.management import doctor_reading

    asked: list[Any] = []
    monkeypatch.setattr(doctor_reading, "run_checks", lambda **options: asked.append(options) or [])
    name = elsewhere(broker_url="memory://")
    for settings.DEBUG in (True, False):
        typed("taskdoctor", "-A", name)
    assert [each["include_deployment_checks"] for each in asked] == [False, True]
    assert asked[0]["tags"] == ["tasktools"]


def test_passwords__are_in_no_line(typed: Run, elsewhere: Callable[..., str]) -> None:
    conf = {
        "broker_url": "redis://me:hunter22@127.0.0.1:1/0",
        "result_backend": "db+postgresql://me:hunter22@host/name",
        "broker_transport_options": {"sentinel_kwargs": {"password": "hunter22"}},
        "task_routes": {"shop.add": "hunter22"},
    }
    ran = typed("taskdoctor", "--live", "-A", elsewhere(**conf))
    assert "hunter22" not in ran.out + ran.err
    assert "redis://me:**@127.0.0.1:1/0" in ran.out


def test_live__of_eager_tasks_asks_nobody(typed: Run, elsewhere: Callable[..., str]) -> None:
    ran = typed(
        "taskdoctor", "--live", "--json", "-A", elsewhere(broker_url="redis://127.0.0.1:1", task_always_eager=True)
    )
    assert lines(ran)["broker", "eager"]["status"] == "warning"
    assert ("broker", "connected") not in lines(ran)
    assert ran.code == 0


def test_live__in_memory(typed: Run, elsewhere: Callable[..., str], tmp_path: Path) -> None:
    name = elsewhere(broker_url="memory://", result_backend=f"file://{tmp_path}")
    ran = typed("taskdoctor", "--live", "--json", "-A", name)
    found = lines(ran)
    assert found["broker", "message"]["text"] == "written and read"
    assert found["backend", "backend"]["text"] == f'"file://{tmp_path}" written and read'
    assert found["queues", "celery"]["text"] == "its consumers are not known, 0 waiting"
    assert (found["workers", "workers"]["status"], ran.code) == ("error", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("backend", "status", "text"),
    [
        (None, "ok", "none: results are not kept"),
        ("cache+memory://", "warning", "Results of cache+memory:// stay in the process that ran the task"),
        ("rpc://", "ok", "rpc://: results come back by the broker"),
        ("nosuch://", "error", 'The result backend "nosuch://" cannot be used: '),
        ("redis://127.0.0.1:1", "error", 'The result backend "redis://127.0.0.1:1/" cannot be reached: '),
        ("file:///nowhere", "error", 'The result backend "file:///nowhere" cannot be used: '),
    ],
)
def test_live__the_result_backend(
    typed: Run, elsewhere: Callable[..., str], backend: str | None, status: str, text: str
) -> None:
    ran = typed("taskdoctor", "--live", "--json", "-A", elsewhere(broker_url="memory://", result_backend=backend))
    line = lines(ran)["backend", "backend"]
    assert line["status"] == status
    assert line["text"].startswith(text)


def test_live__a_broker_that_cannot_be_used(typed: Run, elsewhere: Callable[..., str]) -> None:
    ran = typed("taskdoctor", "--live", "--json", "-A", elsewhere(broker_url="nosuch://localhost"))
    assert lines(ran)["broker", "connected"]["text"].startswith('The broker "nosuch://localhost" is of no kind')
    assert ran.code == 1


def test_live__code_of_the_project_that_fails_is_a_line(
    typed: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(live.workers, "ask", fail)
    name = elsewhere(broker_url="memory://")
    ran = typed("taskdoctor", "--live", "--json", "-A", name)
    assert '"text": "Remote control failed: RuntimeError: no."' in ran.out
    monkeypatch.setattr(live.broker, "lines", fail)
    ran = typed("taskdoctor", "--live", "--json", "-A", name)
    assert lines(ran)["broker", "message"]["text"] == 'The broker "memory://" failed: RuntimeError: no.'


def test_traceback__shows_where_an_error_comes_from(typed: Run, elsewhere: Callable[..., str]) -> None:
    elsewhere(broker_url="redis://localhost:6379/abc")
    assert "Traceback" not in typed("taskdoctor", "--live").err
    assert "Traceback" in typed("taskdoctor", "--live", "--traceback").err


def test_sections__survive_any_error(typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasktools.management import doctor_reading

    def fail(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    for name in ("setting_lines", "_schedule", "_checks"):
        monkeypatch.setattr(doctor_reading, name, fail)
    monkeypatch.setattr(doctor_reading.site, "version_lines", fail)
    ran = typed("taskdoctor", "--json")
    for section in ("settings", "schedule", "versions", "checks"):
        text = f"The lines about {section} cannot be made: RecursionError: too deep."
        assert lines(ran)[section, section]["text"] == text
    assert ("tasks", "slow") in lines(ran)
    assert ran.code == 1
    assert "RecursionError" in typed("taskdoctor", "--traceback").err


def test_live__an_error_leaves_the_sections_before_it(
    typed: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sections(_: object) -> Iterator[Section]:
        yield Section(name="broker", lines=[ok("connected", "yes")])
        raise AttributeError("garbage")

    monkeypatch.setattr(live.Examination, "sections", sections)
    found = lines(typed("taskdoctor", "--live", "--json", "-A", elsewhere(broker_url="memory://")))
    assert found["broker", "connected"]["status"] == "ok"
    assert "AttributeError: garbage" in found["live", "broker"]["text"]


def test_routers__that_are_slow_are_a_warning_in_time(
    typed: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(live.site, "ROUTERS_LIMIT", 0.1)
    name = elsewhere(broker_url="memory://", task_routes=(lambda *_, **__: over.wait(60) and None,))
    began = time.monotonic()
    try:
        found = lines(typed("taskdoctor", "--live", "--json", "-A", name))
    finally:
        over.set()
    assert time.monotonic() - began < 30
    assert found["tasks", "routers"]["status"] == found["queues", "routers"]["status"] == "warning"


def test_live__a_connection_that_does_not_close_takes_no_time(
    typed: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    over, waits, opened = threading.Event(), list[bool](), live.broker.opened

    def stuck(*args: Any) -> Any:
        found = opened(*args)
        monkeypatch.setattr(found.connection, "release", lambda: waits.append(over.wait(60)))
        return found

    monkeypatch.setattr(live.broker, "opened", stuck)
    began = time.monotonic()
    try:
        typed("taskdoctor", "--live", "-A", elsewhere(broker_url="memory://"))
        assert time.monotonic() - began < 30
        assert waits == []
    finally:
        over.set()


def test_live__garbage_of_a_worker_is_one_line(
    typed: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(app: Any, into: dict[str, Any]) -> None:
        into["bad@h"] = Worker(name="bad@h", broker="garbage")  # type: ignore[arg-type]
        into["good@h"] = Worker(name="good@h", queues=["celery"])

    monkeypatch.setattr(live.workers, "ask", ask)
    found = lines(typed("taskdoctor", "--live", "--json", "-A", elsewhere(broker_url="memory://")))
    assert "AttributeError" in found["workers", "bad@h"]["text"]
    assert found["workers", "good@h"]["text"] == "takes from celery"
