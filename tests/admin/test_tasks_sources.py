"""Where the page "Tasks" gets what it shows, what it keeps of that, and what the log says of a deed."""

from __future__ import annotations

import dataclasses
import pickle
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from celery import Celery
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import OperationalError, connections
from django.test import Client

from tasktools.admin.tasks_page import doing, one_task, source
from tasktools.control.workers import ONLINE, RunningTask, Worker
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import NoTrace, TasktoolsError, Unreachable
from tasktools.models import FailedTask
from tasktools.overview.eye import Eye
from tasktools.overview.schedule import Schedule
from tasktools.overview.snapshot import Snapshot
from tasktools.project import Project
from tasktools.queues.pauses import TASK

PAGE = "/admin/tasktools/taskoverview/"


@pytest.fixture
def client(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser(f"user-{uuid.uuid4()}", "a@example.com", "x"))
    return client


def app_at(url: str, **options: Any) -> Celery:
    return Celery("site", broker=url, broker_transport_options=options, set_as_current=False)


# --- the look and the cache


@pytest.mark.parametrize(
    "other",
    [
        app_at("redis://h/1"),
        app_at("redis://other/0"),
        app_at("redis://h/0", global_keyprefix="b-"),
        Celery("elsewhere", broker="redis://h/0", set_as_current=False),
    ],
    ids=["database", "host", "prefix", "app"],
)
def test_cache_key__is_of_one_broker(other: Celery) -> None:
    assert source.cache_key(app_at("redis://h/0")) == source.cache_key(app_at("redis://h/0"))
    assert source.cache_key(app_at("redis://h/0")) != source.cache_key(other)


def test_cache_key__is_of_one_version_and_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_at("redis://:secret@h/0")
    before = source.cache_key(app)
    assert "secret" not in before
    monkeypatch.setattr(source, "__version__", "99")
    assert source.cache_key(app) != before


def test_look__is_kept_without_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    task = RunningTask(id="abc", name="shop.pay", args="('secret',)", kwargs="{'card': 'secret'}", seconds=3.0)
    worker = Worker(name="one@h", state=ONLINE, queues=["mail"], tasks=[task], lacks=["secret"], code="secret")
    seen = Snapshot(at=datetime.now(timezone.utc), workers=[worker, Worker(name="two@h", state=ONLINE)])
    monkeypatch.setattr(Eye, "look", lambda self: seen)
    kept = source._looks(app_at("memory://")).get(5)
    assert kept is not None
    assert b"secret" not in pickle.dumps(kept)
    assert [each.tasks for each in kept.workers] == [
        [RunningTask(id="abc", name="shop.pay", args="", kwargs="", seconds=3.0)],
        None,
    ]


def test_look__that_raises_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(self: Eye) -> Any:
        raise KeyError("pool")

    monkeypatch.setattr(Eye, "look", look)
    kept = source._looks(app_at("memory://")).get(5)
    assert kept is not None
    assert kept.trouble is not None
    assert "KeyError: 'pool'" in kept.trouble.sentence


def test_entries__of_a_scheduler_that_raises_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def outlook(self: Schedule, *_: Any) -> Any:
        tries.append(1)
        raise RuntimeError("no such table: entries")

    monkeypatch.setattr(Schedule, "outlook", outlook)
    schedules = source._schedules(Found(app=app_at("memory://")))
    for _ in range(3):
        read = schedules.get(5)
        assert read is not None
        assert "RuntimeError: no such table: entries" in str(read.trouble)
    assert len(tries) == 1


@pytest.mark.usefixtures("db")
def test_task__its_threads_close_the_database(monkeypatch: pytest.MonkeyPatch, app: Any) -> None:
    threads: list[str] = []
    close = connections.close_all
    monkeypatch.setattr(one_task, "LIMIT", 60.0)
    monkeypatch.setattr(connections, "close_all", lambda: (threads.append(threading.current_thread().name), close()))
    one_task.look(str(uuid.uuid4()))
    assert len(threads) == 4  # the result, its record, its place, and the result once more
    assert threading.current_thread().name not in threads


# --- the log


def deed(monkeypatch: pytest.MonkeyPatch, name: str, perform: Callable[..., Any]) -> None:
    monkeypatch.setitem(doing.DEEDS, name, dataclasses.replace(doing.DEEDS[name], perform=perform))


def test_deed__that_may_have_been_done_is_logged_with_its_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    outdated: list[int] = []
    monkeypatch.setattr(source, "outdate", lambda: outdated.append(1))

    def perform(error: TasktoolsError) -> Callable[..., Any]:
        def fail(*_: Any) -> Any:
            raise error

        return fail

    deed(monkeypatch, "pause", perform(Unreachable("The broker does not answer.", hint="look at it")))
    client.post(f"{PAGE}do/pause/", {"name": "mail"})
    (line,) = LogEntry.objects.all()
    assert line.object_id == "queue:mail"
    assert line.change_message == "Pause: tried. The broker does not answer. Hint: look at it"
    deed(monkeypatch, "pause", perform(NoTrace("There is no such queue.")))
    client.post(f"{PAGE}do/pause/", {"name": "mail"})
    assert LogEntry.objects.count() == 1
    assert len(outdated) == 2


def test_deed__whose_line_cannot_be_written_is_reported(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(**_: Any) -> Any:
        raise OperationalError("database is locked")

    monkeypatch.setattr(LogEntry.objects, "create", create)
    deed(monkeypatch, "pause", lambda *_: ([(25, "mail is paused")], "Paused."))
    answer = client.post(f"{PAGE}do/pause/", {"name": "mail"})
    assert answer.status_code == 302
    said = [str(each) for each in get_messages(answer.wsgi_request)]
    assert said == ["mail is paused", "The history has no line of this: database is locked."]


@pytest.mark.parametrize(("what", "logged"), [("", "queue:mail"), (TASK, "tasks:mail")])
def test_resume__the_log_says_what(client: Client, monkeypatch: pytest.MonkeyPatch, what: str, logged: str) -> None:
    deed(monkeypatch, "resume", lambda *_: ([], "Resumed."))
    client.post(f"{PAGE}do/resume/", {"name": "mail", "what": what})
    (line,) = LogEntry.objects.all()
    assert line.object_id == logged
    assert client.get(f"{PAGE}{logged.replace(':', '_3A')}/change/")["Location"] == PAGE


# --- what strangers write


def test_page__beat_is_shown_as_text(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasktools.admin.tasks_page.source import Entries
    from tasktools.beat.outlook import EntryInfo
    from tasktools.beat.records import Beat
    from tasktools.beat.state import State

    fields: dict[str, Any] = dict.fromkeys(EntryInfo.__dataclass_fields__) | {"next": (), "fault": "", "doubt": ""}
    entry = EntryInfo(**fields | {"name": "nightly", "task": "shop.report", "when": "every 60 s", "enabled": True})
    beat = Beat(host="h\u202e\x1b[31m", pid=7, since=None)
    seen = Snapshot(at=datetime.now(timezone.utc), beat=State(in_charge=beat))
    monkeypatch.setattr(source, "snapshot", lambda wait: seen)
    monkeypatch.setattr(source, "entries", lambda wait: Entries(entries=[entry]))
    page = client.get(PAGE).content.decode()
    assert "\\u202e" in page
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_task__exceptions_are_shown_as_text(
    client: Client, failed: Callable[..., FailedTask], project: Project
) -> None:
    row = failed(exception="shop.Bad\u202e\x1b[31m")
    page = client.get(f"{PAGE}task/", {"id": row.task_id}).content.decode()
    assert "shop.<wbr>Bad\\u202e" in page
    assert "\u202e" not in page
    assert "\x1b" not in page
