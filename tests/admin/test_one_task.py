"""The page of one task: its name, its times and its workers, from whatever has them."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from celery import Celery
from django.contrib.auth.models import User
from django.test import Client

from tasktools.admin.tasks_page import one_task, recorded
from tasktools.framework import store
from tasktools.models import FailedTask
from tasktools.results.locate import Located
from tasktools.results.outcome import Outcome

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

PAGE = "/admin/tasktools/taskoverview/task/"
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)
RECORD = {
    "task": "shop.tasks.pay",
    "run_after": None,
    "enqueued_at": "2026-05-04T12:00:00+00:00",
    "last_attempted_at": "2026-05-04T12:01:00+00:00",
    "workers": ["<i>one@h", "two@h"],
}


@pytest.fixture
def page(db: None) -> Callable[[str], str]:
    client = Client()
    client.force_login(User.objects.create_superuser(f"user-{uuid.uuid4()}", "a@example.com", "x"))

    def page(task_id: str) -> str:
        answer = client.get(PAGE, {"id": task_id})
        assert answer.status_code == 200
        return re.sub(r"<wbr>|</?bdi>", "", answer.content.decode())

    return page


@pytest.fixture
def hang() -> Iterator[Callable[..., None]]:
    """Hang until the test ends, and end before the next one."""
    ended, threads = threading.Event(), []

    def hang(*_: Any) -> None:
        threads.append(threading.current_thread())
        ended.wait(120)

    yield hang
    ended.set()
    for each in threads:
        each.join(120)


def facts(page: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))


@pytest.mark.parametrize("use_tz", [True, False])
def test_task_of_the_framework__has_its_name_and_times(
    page: Callable[[str], str], app: Any, settings: Any, use_tz: bool
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "Asia/Tokyo"
    task_id = str(uuid.uuid4())
    store.write(app.backend, task_id, RECORD)
    app.backend.store_result(task_id, 7, "SUCCESS")
    shown = page(task_id)
    assert 'id="tt-h-task">shop.tasks.pay</h2>' in shown
    found = facts(shown)
    assert "9 p.m." in found["Sent"]
    assert "9:01 p.m." in found["Began"]
    assert found["Worker"] == "&lt;i&gt;one@h, two@h"
    assert found["Attempts"] == "2"
    assert "Ended" in found


def test_failed_task__has_the_name_of_its_failure(
    page: Callable[[str], str], app: Any, failed: Callable[..., FailedTask]
) -> None:
    row = failed()
    app.backend.store_result(row.task_id, ValueError("no"), "FAILURE")
    assert 'id="tt-h-task">tests.site.tasks.add</h2>' in page(row.task_id)


@pytest.mark.parametrize("use_tz", [True, False])
def test_task_of_celery__has_what_the_worker_says(
    page: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, settings: Any, use_tz: bool
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "Asia/Tokyo"
    outcome = Outcome(
        id="abc", state="STARTED", task="shop.mail", worker="one@h", place="active", started=NOON, eta=NOON
    )
    monkeypatch.setattr(one_task.backend, "look", lambda app, task_id: outcome)
    monkeypatch.setattr(one_task.locate, "places", lambda *_, **__: Located(outcomes=[outcome]))
    shown = page("abc")
    assert 'id="tt-h-task">shop.mail</h2>' in shown
    found = facts(shown)
    assert "9 p.m." in found["Began"]
    assert "9 p.m." in found["Not before"]
    assert not {"Sent", "Ended", "Attempts"} & found.keys()


@pytest.mark.parametrize(
    "record", [{"task": 7, "enqueued_at": "x", "workers": "y"}, {"enqueued_at": 5, "workers": None}]
)
def test_record__of_somebody_else_breaks_nothing(page: Callable[[str], str], app: Any, record: dict[str, Any]) -> None:
    task_id = str(uuid.uuid4())
    store.write(app.backend, task_id, {"run_after": None} | record)
    app.backend.store_result(task_id, 7, "SUCCESS")
    assert "It has succeeded." in page(task_id)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("9999-12-31T23:59:59+00:00", "Dec. 31, 9999"),
        ("0001-01-01T00:00:00+00:00", "Jan. 1, 0001"),
        ("9999-12-31T23:59:59-05:00", "Dec. 31, 9999"),
    ],
)
@pytest.mark.parametrize("use_tz", [True, False])
def test_time__at_the_ends_of_the_calendar_is_shown(
    page: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    zone: str,
    at: str,
    shown: str,
    use_tz: bool,
) -> None:
    """Anybody can send a task with such an eta, and the reader's clock may be ahead of it."""
    settings.USE_TZ, settings.TIME_ZONE = use_tz, zone
    outcome = Outcome(id="abc", state="STARTED", task="shop.mail", place="scheduled", eta=datetime.fromisoformat(at))
    monkeypatch.setattr(one_task.backend, "look", lambda app, task_id: outcome)
    monkeypatch.setattr(one_task.locate, "places", lambda *_, **__: Located(outcomes=[outcome]))
    monkeypatch.setattr(store, "read", lambda backend, task_id: RECORD | {"enqueued_at": at})
    found = facts(page("abc"))
    assert shown in found["Not before"]
    assert shown in found["Sent"]


def test_record__that_takes_too_long_does_not_hide_the_result(
    page: Callable[[str], str], app: Any, monkeypatch: pytest.MonkeyPatch, hang: Callable[..., None]
) -> None:
    task_id = str(uuid.uuid4())
    app.backend.store_result(task_id, 7, "SUCCESS")
    monkeypatch.setattr(one_task, "LIMIT", 60.0)
    monkeypatch.setattr(one_task, "RECORDED", 0.1)
    monkeypatch.setattr(store, "read", hang)
    shown = page(task_id)
    assert "It has succeeded." in shown
    assert "does not answer" not in shown


@pytest.mark.parametrize("url", ["rpc://", "disabled://"])
def test_record__is_not_read_where_there_is_none(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The backend of rpc:// takes results from a queue, also those of other tasks."""
    read: list[str] = []
    monkeypatch.setattr(store, "read", lambda backend, task_id: read.append(task_id))
    made = Celery("made", broker="memory://", backend=url, set_as_current=False)
    assert recorded.read(made, "abc") == {}
    assert read == []


def test_record__that_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch, app: Any) -> None:
    monkeypatch.setattr(store, "read", lambda backend, task_id: 1 / 0)
    assert recorded.read(app, "abc") == {}
