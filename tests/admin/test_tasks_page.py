"""The page "Tasks" of the admin: who sees it, who may do what, and what strangers can write into it."""

from __future__ import annotations

import dataclasses
import re
import sys
import time
import types
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import path

from tasktools.admin.tasks_page import doing, one_task, source
from tasktools.admin.tasks_page.page import TaskOverviewAdmin
from tasktools.admin.tasks_page.source import Entries
from tasktools.beat.outlook import EntryInfo
from tasktools.beat.state import State
from tasktools.control import pause
from tasktools.control.pause import Heard
from tasktools.control.revoke import Confirmed
from tasktools.control.workers import ONLINE, SILENT, RunningTask, Worker
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.health.minutes import Minute
from tasktools.models import FailedTask, TaskOverview
from tasktools.overview.schedule import Schedule
from tasktools.overview.snapshot import Queue, Snapshot, Trouble
from tasktools.project import Project
from tasktools.queues.pauses import QUEUE, TASK, Pause
from tasktools.results.locate import NOWHERE, Located
from tasktools.results.outcome import Outcome
from tests.support import refusing_port, silent_port, wait_for

PAGE = "/admin/tasktools/taskoverview/"
#: Each address that shows something.
VIEWS = ("", "live/", "task/", "task/?id=b4f", "queue:celery/change/")
#: Each thing that can be done, with its permission and something to do it to.
DEEDS = {
    "pause": ("pause", "celery"),
    "resume": ("pause", "celery"),
    "revoke": ("revoke", "0b2f7a4e-3c1d-4e5f-8a9b-000000000002"),
    "run": ("run", "nightly"),
}

HOSTILE = '<script>alert("x")</script>\u202egnp.exe\x00\x1b[31m' + "y" * 10_000_000

Staff = Callable[..., Client]


@pytest.fixture
def staff(db: None) -> Staff:
    """Log somebody in: staff("view", "pause"); a name with a dot is a whole one."""

    def log_in(*permissions: str, is_staff: bool = True, is_superuser: bool = False, csrf: bool = False) -> Client:
        user = User.objects.create_user(f"user-{uuid.uuid4()}", is_staff=is_staff, is_superuser=is_superuser)
        names = [each if "_" in each else f"{each}_taskoverview" for each in permissions]
        found = Permission.objects.filter(content_type__app_label="tasktools", codename__in=names)
        assert len(found) == len(names)
        user.user_permissions.set(found)
        client = Client(enforce_csrf_checks=csrf)
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the page show this, and no broker asked."""

    def show(entries: Entries | None = None, error: Exception | None = None, **fields: Any) -> None:
        seen = Snapshot(**{"at": datetime.now(timezone.utc), **fields})

        def snapshot(wait: float) -> Snapshot:
            if error is not None:
                raise error
            return seen

        monkeypatch.setattr(source, "snapshot", snapshot)
        monkeypatch.setattr(source, "entries", lambda wait: entries or Entries())

    return show


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the page look at the broker of the suite again, for as long as that takes on a slow machine."""
    monkeypatch.setattr(one_task, "LIMIT", 60.0)
    source.outdate()
    yield
    source.outdate()


def text(client: Client, url: str = "", **query: str) -> str:
    answer = client.get(f"{PAGE}{url}", query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def messages_of(answer: Any) -> list[str]:
    return [str(each) for each in get_messages(answer.wsgi_request)]


# --- who sees it


@pytest.mark.parametrize("view", VIEWS)
def test_view__is_for_staff_who_may_view(staff: Staff, shows: Callable[..., None], view: str) -> None:
    shows()
    expected = 302 if "change" in view else 200
    assert staff("view").get(f"{PAGE}{view}").status_code == expected
    assert staff(is_superuser=True).get(f"{PAGE}{view}").status_code == expected
    assert staff("pause", "revoke", "run", "view_failedtask").get(f"{PAGE}{view}").status_code == 403
    for nobody in (Client(), staff("view", is_staff=False)):
        answer = nobody.get(f"{PAGE}{view}")
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_view__a_site_without_pages_of_failed_tasks(
    staff: Staff, shows: Callable[..., None], failed: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project may unregister them, or have the page alone on a site of its own."""
    shows()
    row = failed()
    own, urls = AdminSite(name="own"), types.ModuleType("urls_of_the_test")
    own.register(TaskOverview, TaskOverviewAdmin)
    urls.urlpatterns = [path("own/", own.urls)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    settings.ROOT_URLCONF = urls.__name__
    client, page = staff(is_superuser=True), "/own/tasktools/taskoverview/"
    for view in ("", "live/", f"task/?id={row.task_id}"):
        answer = client.get(f"{page}{view}")
        assert (answer.status_code, b"failedtask" in answer.content) == (200, False), view
    assert client.get(f"{page}do/retry/", {"task": row.task, "exception": row.exception}).status_code == 404


def test_index__names_the_page_to_those_who_may_view(staff: Staff) -> None:
    assert f'href="{PAGE}"' in staff("view").get("/admin/").content.decode()
    assert PAGE not in staff("pause", "view_failedtask").get("/admin/").content.decode()


@pytest.mark.parametrize("verb", DEEDS)
def test_deed__needs_its_permission(staff: Staff, shows: Callable[..., None], verb: str) -> None:
    shows()
    permission, name = DEEDS[verb]
    url = f"{PAGE}do/{verb}/"
    assert staff("view", permission).get(url, {"name": name}).status_code == 200
    others = {"pause", "revoke", "run"} - {permission}
    for client in (staff("view", *others), staff(permission)):
        assert client.get(url, {"name": name}).status_code == 403
        assert client.post(url, {"name": name}).status_code == 403
    assert Client().post(url, {"name": name}).status_code == 302
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", DEEDS)
def test_deed__a_forged_post_is_refused(staff: Staff, verb: str) -> None:
    client = staff(is_superuser=True, csrf=True)
    assert client.post(f"{PAGE}do/{verb}/", {"name": DEEDS[verb][1]}).status_code == 403
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", DEEDS)
def test_deed__a_get_only_asks(staff: Staff, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setattr(source, "remote", lambda: pytest.fail("something was done"))
    page = text(staff(is_superuser=True), f"do/{verb}/", name=DEEDS[verb][1])
    assert 'name="csrfmiddlewaretoken"' in page
    assert f'name="name" value="{DEEDS[verb][1]}"' in page
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("query", [{}, {"name": ""}, {"name": "x" * 3_000}])
def test_deed__without_a_name_is_none(staff: Staff, query: dict[str, str]) -> None:
    assert staff(is_superuser=True).get(f"{PAGE}do/pause/", query).status_code == 404
    assert staff(is_superuser=True).get(f"{PAGE}do/destroy/", {"name": "celery"}).status_code == 404


def test_buttons__are_shown_to_those_who_may_press_them(staff: Staff, shows: Callable[..., None]) -> None:
    running = RunningTask(id="abc", name="shop.pay", args="", kwargs="", seconds=3.0)
    shows(
        queues=[Queue(name="a", ready=1, consumers=1), Queue(name="b", ready=0, paused=paused("b"))],
        workers=[Worker(name="w@h", state=ONLINE, tasks=[running], running=1)],
    )
    buttons = {"do/pause/", "do/resume/", "do/revoke/"}
    seen = {each for each in buttons if each in text(staff("view"))}
    assert seen == set()
    assert {each for each in buttons if each in text(staff("view", "pause"))} == {"do/pause/", "do/resume/"}
    assert {each for each in buttons if each in text(staff("view", "revoke"))} == {"do/revoke/"}


def paused(name: str, what: str = QUEUE, **fields: Any) -> Pause:
    return Pause(what=what, name=name, since=datetime.now(timezone.utc), **fields)


# --- what is shown


def test_page__says_that_nothing_is_counted_and_how_many_queues_are_left_out(
    staff: Staff, shows: Callable[..., None], settings: Any
) -> None:
    settings.TASKTOOLS_HOUR = False
    shows(queues=[Queue(name="mail", ready=7, oldest=None, consumers=2)], minutes=[], more_queues=123)
    page = text(staff("view"))
    assert "Workers do not count their tasks: TASKTOOLS_HOUR = False in the settings." in page
    assert "123 more" in page


def test_page__shows_queues_workers_and_the_hour(staff: Staff, shows: Callable[..., None]) -> None:
    now = datetime.now(timezone.utc)
    running = RunningTask(id="abc-1", name="shop.tasks.pay", args="secret", kwargs="", seconds=75.0)
    minute = Minute(at=int(now.timestamp()), counts=Counter(succeeded=40, failed=2), seconds=4.0)
    minute.ranges[2] = 42
    shows(
        queues=[
            Queue(name="mail", ready=7, oldest=3725.0, consumers=2),
            Queue(name="lost", ready=3, consumers=0),
            Queue(name="slow", ready=None, consumers=None, paused=paused("slow", by="ann", reason="the bank is down")),
        ],
        workers=[
            Worker(
                name="one@h",
                state=ONLINE,
                same_name=2,
                queues=["mail"],
                running=1,
                concurrency=4,
                memory=90_000_000,
                tasks=[running],
            ),
            Worker(name="two@h", state=SILENT),
        ],
        paused_tasks=[paused("shop.tasks.mail", TASK)],
        minutes=[minute],
        unacked=5,
        more_silent=1,
    )
    page = text(staff("view"))
    for part in (
        "1 h 2 min", "No worker reads a queue with messages: lost.", "2 workers listen and do not answer.", "ann",
        "Several workers have one name, and are shown as one: one@h. Start each with a name of its own (-n).",
        "the bank is down", "90 MB", "1 / 4", "abc-1", "1 min 15 s", "42 tasks ended in the last hour: 40 succeeded, 2 failed",
        "5 messages are with workers", "does not answer", "paused task",
    ):  # fmt: skip
        assert part in page, part
    assert "secret" not in page  # arguments may be anything, and the hook that masks them does not see these


def test_page__says_since_when_a_queue_and_a_task_are_paused(staff: Staff, shows: Callable[..., None]) -> None:
    began = datetime(2020, 5, 17, 12, tzinfo=timezone.utc)
    queue = Queue(name="mail", ready=0, paused=replace(paused("mail"), since=began))
    shows(queues=[queue], paused_tasks=[replace(paused("shop.tasks.pay", TASK), since=began.replace(year=2021))])
    page = text(staff("view"))
    for year in (2020, 2021):
        assert f"since May 17, {year}, " in page


def test_page__shows_failed_tasks_to_those_who_may_see_them(
    staff: Staff, shows: Callable[..., None], failed: Callable[..., FailedTask]
) -> None:
    shows()
    for _ in range(3):
        failed(task="shop.tasks.pay")
    failed(task="shop.tasks.old", state="mended")
    failed(task="shop.tasks.ended", kind="terminated", exception="")
    page = text(staff("view", "view_failedtask"))
    assert "shop.<wbr>tasks.<wbr>pay" in page
    assert '<td data-label="Exception"><bdi>–</bdi></td>' in page
    assert "do/retry/" not in page
    assert "old" not in re.findall(r'id="tt-failed".*', page, re.DOTALL)[0]
    assert "do/retry/" in text(staff("view", "view_failedtask", "retry_failedtask"))
    assert "shop.<wbr>tasks" not in text(staff("view", "retry_failedtask"))


def test_retry__asks_on_the_page_of_failed_tasks(staff: Staff, failed: Callable[..., FailedTask]) -> None:
    rows = [failed(task="shop.tasks.pay") for _ in range(2)]
    failed(task="shop.tasks.mail")
    client = staff("view", "view_failedtask", "retry_failedtask")
    page = text(client, "do/retry/", task="shop.tasks.pay", exception="builtins.ValueError")
    assert f'value="{rows[0].pk},{rows[1].pk}"' in page
    query = {"task": "shop.tasks.pay", "exception": "builtins.ValueError"}
    assert f'href="{PAGE}" class="button"' in page  # back to where the button is
    assert staff("view", "view_failedtask").get(f"{PAGE}do/retry/", query).status_code == 403
    assert client.get(f"{PAGE}do/retry/", {"task": "a\0"}).status_code == 404


@pytest.mark.parametrize("view", ["", "live/"])
def test_page__what_strangers_write_is_shown_and_not_obeyed(
    staff: Staff, shows: Callable[..., None], view: str
) -> None:
    running = RunningTask(id=HOSTILE, name=HOSTILE, args=HOSTILE, kwargs=HOSTILE, seconds=1.0)
    shows(
        queues=[
            Queue(name=HOSTILE, ready=1, consumers=0),
            Queue(name="b", ready=1, paused=paused("b", by=HOSTILE, reason=HOSTILE)),
        ],
        workers=[Worker(name=HOSTILE, state=ONLINE, queues=[HOSTILE], tasks=[running], running=1)],
        paused_tasks=[paused(HOSTILE, TASK)],
        trouble=None,
    )
    page = text(staff("view"), view)
    assert len(page) < 100_000
    for bad in ("<script>alert", "\u202e", "\x00", "\x1b"):
        assert bad not in page
    assert "\\u202e" in page.replace("\\\\u", "\\u")


def test_page__has_nothing_inline(staff: Staff, shows: Callable[..., None]) -> None:
    """It works under CSP `default-src 'self'`, but for what Django's own pages have."""
    minute = Minute(at=0, counts=Counter(succeeded=1), seconds=1.0)
    minute.ranges[0] = 1
    shows(queues=[Queue(name="a", ready=1)], minutes=[minute])
    page = re.findall(r'<div id="content-main".*', text(staff(is_superuser=True)), re.DOTALL)[0]
    assert "<rect" in page
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", page)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


def test_page__says_that_the_broker_is_away_and_shows_the_rest(
    staff: Staff, shows: Callable[..., None], failed: Callable[..., FailedTask]
) -> None:
    failed(task="shop.tasks.pay")
    shows(trouble=Trouble(sentence='The broker "redis://h" does not answer.', hint="start it"))
    page = text(staff("view", "view_failedtask"))
    assert "The broker &quot;redis://h&quot; does not answer. Hint: start it" in page
    assert "shop.<wbr>tasks.<wbr>pay" in page
    assert "The schedule has no entries." in page
    assert 'id="tt-h-queues"' not in page


@pytest.mark.usefixtures("real")
def test_page__of_a_broker_that_cannot_be_used(staff: Staff, project: Project) -> None:
    """It was an error 500."""
    with Celery("site", broker="nosuch://u:hidden99@h", set_as_current=False) as other:
        project.found = Found(app=other)
        page = text(staff("view"))
        live = staff("view").get(f"{PAGE}live/")
        entries = source.entries(30)
    assert "The broker &quot;nosuch://u:**@h&quot; is of no kind that kombu knows" in page
    assert "set CELERY_BROKER_URL to a URL" in page
    assert "hidden99" not in page
    assert live.status_code == 200
    assert entries is not None
    assert entries.trouble is None  # the schedule is shown all the same


def test_page__says_why_there_is_no_broker(staff: Staff, shows: Callable[..., None]) -> None:
    shows(error=ConfigurationError("CELERY_BROKER_URL is not set.", hint="set it"))
    assert "CELERY_BROKER_URL is not set. Hint: set it" in text(staff("view"))


def test_page__warns_of_a_schedule_without_a_beat(staff: Staff, shows: Callable[..., None]) -> None:
    fields: dict[str, Any] = {each.name: None for each in dataclasses.fields(EntryInfo)} | {
        "next": (),
        "fault": "",
        "doubt": "",
    }
    entry = EntryInfo(
        **fields | {"name": "nightly", "task": "shop.tasks.report", "when": "every 60 s", "enabled": True}
    )
    shows(Entries(entries=[entry]), beat=State())
    page = text(staff("view"))
    assert "no beat is in charge" in page
    assert "nightly" in page
    assert "do/run/" not in page
    assert "do/run/" in text(staff("view", "run"))
    shows(Entries(entries=[entry]), beat=State(is_foreign=True))
    page = text(staff("view"))
    assert "no beat is in charge" not in page
    assert "was not written by a beat" in page


def test_page__draws_no_chart_of_an_hour_without_tasks(staff: Staff, shows: Callable[..., None]) -> None:
    client = staff("view")
    shows(minutes=[Minute(at=0), Minute(at=60, counts=Counter(retried=1))])
    assert text(client).count("tt-chart") > 1
    shows(minutes=[Minute(at=0), Minute(at=60)])
    page = text(client)
    assert "No task has ended in the last hour." in page
    assert "tt-chart" not in page


def test_page__says_what_the_broker_does_not(staff: Staff, shows: Callable[..., None]) -> None:
    client, told = staff("view"), "This broker does not say which"
    shows(queues=[Queue(name="mail", ready=7)], beat=State())
    assert "Oldest" in text(client)
    assert told not in text(client)
    fields: dict[str, Any] = dict.fromkeys(EntryInfo.__dataclass_fields__) | {"next": (), "fault": "", "doubt": ""}
    entry = EntryInfo(**fields | {"name": "nightly", "task": "shop.report", "when": "", "enabled": True})
    shows(Entries(entries=[entry]), queues=[Queue(name="mail", ready=7)], knows_all=False, beat=State(is_known=False))
    page = text(client)
    assert "Oldest" not in page
    assert "nor for how long messages have waited" in page
    assert f"{told} beat is in charge, nor when entries last ran." in page
    ran = dataclasses.replace(entry, last_run=datetime.now(timezone.utc))
    shows(Entries(entries=[ran]), beat=State(is_known=False))
    assert f"{told} beat is in charge.<" in text(client)


# --- with the broker of the suite


@pytest.mark.usefixtures("real")
def test_page__of_a_real_broker(staff: Staff, app: Any) -> None:
    app.send_task("shop.tasks.none", queue="page-tests")
    client = staff("view", "pause")
    found = wait_for(lambda: "page-tests" in (page := text(client, wait="1")) and page, what="the queue", pause=0.2)
    assert isinstance(found, str)
    assert "No worker answers." in found or "celery@" in found
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete("page-tests")


@pytest.mark.usefixtures("real")
def test_pause_and_resume__keep_it_and_log_it(staff: Staff, app: Any) -> None:
    from tasktools.control.pause import read
    from tasktools.queues.pauses import utc_now

    client = staff("view", "pause")
    form = {"name": "page-paused", "duration": "30m", "reason": "<b>why</b>"}
    answer = client.post(f"{PAGE}do/pause/", form)
    assert answer.status_code == 302
    (kept,) = [each for each in read(app, utc_now()) if each.name == "page-paused"]
    assert (kept.reason, kept.by) == ("<b>why</b>", User.objects.get().username)
    assert kept.until is not None
    assert abs(kept.until - kept.since - timedelta(minutes=30)) < timedelta(minutes=1)
    assert any("page-paused" in each for each in messages_of(answer))
    page = text(client, wait="1")
    assert "&lt;b&gt;why&lt;/b&gt;" in page
    client.post(f"{PAGE}do/resume/", {"name": "page-paused"})
    assert [each for each in read(app, utc_now()) if each.name == "page-paused"] == []
    assert [(each.object_id, each.change_message) for each in LogEntry.objects.order_by("pk")] == [
        ("queue:page-paused", "Paused for 30m."),
        ("queue:page-paused", "Resumed."),
    ]


@pytest.mark.parametrize(
    ("verb", "form", "said"),
    [
        ("pause", {"name": "a", "duration": "soon"}, "soon"),
        ("pause", {"name": "a", "duration": "9999d"}, "9999d"),
        ("pause", {"name": "a" * 300}, "is no name of a queue"),
        ("resume", {"name": "never-paused"}, "is not paused"),
        ("revoke", {"name": "no id\x1b"}, "is no task id"),
        ("run", {"name": "never-there"}, "never-there"),
    ],
)
def test_deed__that_cannot_be_done_is_said_and_not_logged(
    staff: Staff, verb: str, form: dict[str, str], said: str
) -> None:
    answer = staff(is_superuser=True).post(f"{PAGE}do/{verb}/", form)
    assert answer.status_code == 302
    assert any(said in each for each in messages_of(answer)), messages_of(answer)
    assert not LogEntry.objects.exists()


def test_run__sends_what_beat_would_send(staff: Staff, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"task": "tests.site.tasks.total", "schedule": 3600.0, "args": (1,), "options": {"queue": "page-run"}}
    monkeypatch.setitem(app.conf.beat_schedule, "nightly", entry)
    answer = staff("view", "run").post(f"{PAGE}do/run/", {"name": "nightly"})
    (said,) = messages_of(answer)
    assert said.startswith('"tests.site.tasks.total" was sent as ')
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("page-run")
        message = queue.get(timeout=60)
        assert message.headers["id"] == said.removesuffix(".").rpartition(" ")[2]
        message.ack()
    (logged,) = LogEntry.objects.all()
    assert logged.object_id == "entry:nightly"


def test_live__is_the_page_in_parts(staff: Staff, shows: Callable[..., None]) -> None:
    shows(queues=[Queue(name="mail", ready=7)])
    found = staff("view").get(f"{PAGE}live/").json()
    assert set(found["parts"]) == {"status", "hour", "queues", "workers", "schedule", "failed"}
    assert found["is_fresh"] is True
    assert "mail" in found["parts"]["queues"]
    shows(queues=[], at=datetime.now(timezone.utc) - timedelta(seconds=9))
    assert staff("view").get(f"{PAGE}live/").json()["is_fresh"] is False


def test_log__leads_to_the_task(staff: Staff) -> None:
    answer = staff("view").get(f"{PAGE}task_3Aabc/change/")
    assert answer["Location"] == f"{PAGE}task/?id=abc"


# --- one task


def test_task__that_nobody_knows(staff: Staff) -> None:
    began = time.monotonic()
    page = text(staff("view"), "task/", id=str(uuid.uuid4()))
    assert "There is no trace of it" in page or "some workers do not answer" in page
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("state", "place", "unread", "said", "is_offered"),
    [
        ("PENDING", "none", {}, "There is no trace of it", False),
        ("PENDING", "none", {"mail": 7}, "taskresult --deep reads them", True),
        ("PENDING", "unknown", {}, "it waits, or nobody sent it", True),
        ("PENDING", "queued", {}, "It waits in a queue.", True),
        ("PENDING", "silent", {"mail": 7}, "taskresult --deep reads them", True),
        ("PENDING", "unasked", {"mail": 7}, "taskresult --deep reads them", True),
        ("PENDING", "silent", {}, "No queue has it, and some workers do not answer", True),
        ("RETRY", "none", {}, "It is to be tried again, and neither a queue nor a worker has it.", True),
        ("RETRY", "none", {"mail": 7}, "taskresult --deep reads them", True),
        ("RETRY", "unknown", {}, "It is to be tried again. No worker that answers has it", True),
        ("STARTED", "none", {}, "its worker was killed", False),
        ("STARTED", "queued", {}, "It began, and its message waits in a queue to run again.", True),
        ("STARTED", "reserved", {}, "It began, and its message is kept", True),
        ("STARTED", "active", {}, "A worker runs it.", True),
        ("SUCCESS", None, {}, "It has succeeded.", False),
    ],
)
def test_task__offers_to_revoke_what_there_may_be(
    staff: Staff,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    place: str,
    unread: dict[str, int],
    said: str,
    is_offered: bool,
) -> None:
    outcome = Outcome(id="b4f", state=state, place=place)
    monkeypatch.setattr(one_task.backend, "look", lambda app, task_id: outcome)
    monkeypatch.setattr(one_task.locate, "places", lambda *_, **__: Located(outcomes=[outcome], unread=unread))
    page = text(staff("view", "revoke"), "task/", id="b4f")
    assert said in page
    assert not (unread and "No queue has it" in page)
    assert ("nobody sent it" in page or "no trace" in page) <= (state == "PENDING")
    assert ("do/revoke/" in page) is is_offered
    assert ("There is nothing to revoke" in page) is (state == "PENDING" and not is_offered)
    assert "revoke" not in text(staff("view"), "task/", id="b4f")


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize(
    ("what", "said"),
    [(QUEUE, "It waits in a queue that is paused."), (TASK, "It waits in a queue, and the task is paused.")],
)
def test_task__that_waits_because_of_a_pause(staff: Staff, app: Any, what: str, said: str) -> None:
    queue = f"unread-{uuid.uuid4()}"
    name = queue if what == QUEUE else f"a.{queue}"
    task_id = app.send_task(f"a.{queue}", queue=queue).id
    assert "It waits in a queue." in text(staff("view"), "task/", id=task_id)
    pause.pause(app, [Pause(what=what, name=name, since=datetime.now(timezone.utc))])
    try:
        assert said in text(staff("view"), "task/", id=task_id)
    finally:
        pause.resume(app, [Pause(what=what, name=name, since=datetime.now(timezone.utc))])


def page_of_placed(staff: Staff, monkeypatch: pytest.MonkeyPatch, place: str) -> str:
    """Return the page of a task that is found at this place after its result was looked for."""
    placed = Outcome(id="b4f", state="PENDING", place=place)
    monkeypatch.setattr(one_task.locate, "places", lambda *_, **__: Located(outcomes=[placed]))
    return text(staff("view", "revoke"), "task/", id="b4f")


@pytest.mark.parametrize("place", NOWHERE)
def test_task__whose_result_nobody_can_look_up(staff: Staff, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Beside the error it said that there is no trace of the task."""

    def look(*_: Any) -> Any:
        raise Unreachable('The result backend "redis://h" does not answer.')

    monkeypatch.setattr(one_task.backend, "look", look)
    page = page_of_placed(staff, monkeypatch, place)
    assert "The result backend &quot;redis://h&quot; does not answer." in page
    assert "Its result could not be looked up: it may have ended." in page
    assert "no trace" not in page
    assert "nobody sent it" not in page


@pytest.mark.parametrize("place", NOWHERE)
def test_task__that_ends_during_the_look(staff: Staff, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The result backend is asked first: it ends before the queues and the workers are."""
    ended = Outcome(id="b4f", state="SUCCESS", result=3)
    looks = iter([Outcome(id="b4f", state="PENDING"), ended])
    monkeypatch.setattr(one_task.backend, "look", lambda app, task_id: next(looks))
    page = page_of_placed(staff, monkeypatch, place)
    assert "It has succeeded." in page
    assert 'id="tt-h-result">Result</h2>' in page
    assert "do/revoke/" not in page


@pytest.mark.parametrize(
    ("state", "label"), [("STARTED", None), ("PROGRESS", "Reported by the task"), ("SUCCESS", "Result")]
)
def test_task__names_what_its_backend_has(
    staff: Staff, monkeypatch: pytest.MonkeyPatch, state: str, label: str | None
) -> None:
    outcome = Outcome(id="b4f", state=state, result={"pid": 7}, place="active")
    monkeypatch.setattr(one_task.backend, "look", lambda app, task_id: outcome)
    monkeypatch.setattr(one_task.locate, "places", lambda *_, **__: Located(outcomes=[outcome]))
    page = text(staff("view"), "task/", id="b4f")
    assert re.findall(r'id="tt-h-result">(.*?)</h2>', page) == ([] if label is None else [label])
    assert ("pid" in page.partition('id="content-main"')[2]) is (label is not None)


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")
def test_task__its_result_is_cut_and_not_obeyed(staff: Staff, app: Any) -> None:
    task_id = str(uuid.uuid4())
    app.backend.store_result(task_id, "<script>alert(1)</script>" + "y" * 1_000_000, "SUCCESS")
    page = text(staff("view", "revoke"), "task/", id=task_id)
    assert "It has succeeded." in page
    assert "<script>alert" not in page
    assert "The first 20000 of" in page
    assert len(page) < 100_000
    assert "do/revoke/" not in page


def test_task__names_its_failures_to_those_who_may_see_them(staff: Staff, failed: Callable[..., FailedTask]) -> None:
    row = failed()
    link = f"/admin/tasktools/failedtask/{row.pk}/change/"
    assert link in text(staff("view", "view_failedtask"), "task/", id=row.task_id)
    assert link not in text(staff("view"), "task/", id=row.task_id)


@pytest.mark.parametrize(
    ("task_id", "state", "place", "shown"),
    [
        ("b4f", "FAILURE", None, ["mail", "celery@web1"]),
        ("b4f", "PENDING", "none", ["mail", "celery@web1"]),
        ("b4f", "RETRY", "queued", ["slow"]),
        ("c5a", "PENDING", "queued", ["slow"]),
        ("c5a", "SUCCESS", None, []),
    ],
)
def test_task__is_named_by_its_failures(
    staff: Staff,
    failed: Callable[..., FailedTask],
    monkeypatch: pytest.MonkeyPatch,
    task_id: str,
    state: str,
    place: str | None,
    shown: list[str],
) -> None:
    """The result backend keeps no names unless it is told to. Of c5a, as which b4f was sent again, the row has only the task."""
    failed(task="shop.tasks.mail", task_id="b4f", new_id="c5a", queue="mail", worker="celery@web1")
    outcome = Outcome(id=task_id, state=state, place=place, queue="slow" if place == "queued" else None)
    monkeypatch.setattr(one_task.backend, "look", lambda app, task_id: outcome)
    monkeypatch.setattr(one_task.locate, "places", lambda *_, **__: Located(outcomes=[outcome]))

    def facts(*permissions: str) -> tuple[str, list[str]]:
        page = text(staff("view", *permissions), "task/", id=task_id)
        page = re.sub("</?bdi>|<wbr>", "", page)
        title = re.findall(r'id="tt-h-task">(.*?)</h2>', page)[0]
        return title, re.findall(r"<dt>(?:Queue|Worker)</dt><dd>(.*?)</dd>", page)

    assert facts("view_failedtask") == ("shop.tasks.mail", shown)
    assert facts() == ("Task", ["slow"] if place == "queued" else [])


# --- a broker that is away


@pytest.mark.parametrize(("url", "query", "wait"), [("", {}, 0.12), ("", {"wait": "1"}, 3.0), ("live/", {}, 0.0)])
def test_page__waits_for_the_broker_as_long_as_its_reader_can(
    staff: Staff, monkeypatch: pytest.MonkeyPatch, url: str, query: dict[str, str], wait: float
) -> None:
    """The script asks again, and without it somebody reloads the page. A look takes up to 3.7 s."""
    waits: list[tuple[str, float]] = []
    monkeypatch.setattr(source, "snapshot", lambda wait: waits.append(("broker", wait)))
    monkeypatch.setattr(source, "entries", lambda wait: waits.append(("schedule", wait)))
    text(staff("view"), url, **query)
    (broker, schedule) = waits
    assert broker == ("broker", wait)
    assert schedule[0] == "schedule"
    assert 0 <= schedule[1] <= wait


@pytest.mark.parametrize("is_silent", [True, False])
def test_page__answers_whatever_the_broker_does(staff: Staff, project: Project, is_silent: bool) -> None:
    client = staff("view", "pause")
    with silent_port() as port:
        url = f"redis://127.0.0.1:{port if is_silent else refusing_port()}/0"
        project.found = Found(app=Celery("away", broker=url, set_as_current=False))
        first = text(client)
        assert "Schedule</h2>" in first
        said = "does not answer" if is_silent else "cannot be reached"
        wait_for(lambda: said in text(client, wait="1"), what="the sentence")
        assert is_silent or said in first or "are being asked" in first
        assert said in text(client, "live/")
        answer = client.post(f"{PAGE}do/pause/", {"name": "celery"})
        assert any(said in each for each in messages_of(answer))
    (line,) = LogEntry.objects.all()  # nobody knows whether it was done
    assert said in line.change_message


def test_page__where_tasks_run_in_the_caller(staff: Staff, project: Project) -> None:
    project.found = Found(app=Celery("eager", broker="memory://", task_always_eager=True, set_as_current=False))
    assert "CELERY_TASK_ALWAYS_EAGER is set" in text(staff("view"))


def test_page__of_a_schedule_that_cannot_be_read(
    staff: Staff, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(self: Schedule) -> Any:
        raise RuntimeError("no such table: <b>entries</b>")

    monkeypatch.setattr(Schedule, "planned", planned)
    project.found = Found(app=Celery("broken", broker="memory://", set_as_current=False))
    assert "RuntimeError: no such table: &lt;b&gt;entries&lt;/b&gt;" in text(staff("view"), wait="1")


def test_pause__names_some_of_the_workers_that_go_on() -> None:
    """Hundreds of messages would be the whole page."""
    heard = Heard(failed={f"celery@{number}": "Unknown" for number in range(200)})
    reports = [report for _level, report in doing._heard(heard)]
    assert [each for each in reports if "goes on, because" in each] == [
        f"celery@{number} goes on, because tasktools is not in use there: Unknown." for number in range(5)
    ]
    assert reports[-1] == "195 more workers go on."


def test_revoke__names_some_of_the_workers_that_have_not_done_it(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"celery@{number}" for number in range(200)]
    confirmed = Confirmed(workers=["one@h"], unable=names, failed=dict.fromkeys(names, "Unknown"))
    monkeypatch.setattr("tasktools.control.revoke.revoke", lambda *_, **__: confirmed)
    said = messages_of(staff("view", "revoke").post(f"{PAGE}do/revoke/", {"name": "b4f"}))
    assert [each for each in said if "cannot end a task that runs" in each] == [
        f"celery@{number} cannot end a task that runs: its pool cannot." for number in range(5)
    ]
    assert [each for each in said if "has not done it" in each] == [
        f"celery@{number} has not done it: Unknown." for number in range(5)
    ]
    assert said[-1] == "390 more workers have not done all of it."
