"""Every button of the pages of the admin, pressed in a real browser by mouse and by keyboard: what comes of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User

from tasktools.admin.tasks_page import source
from tasktools.control.pause import pause, read
from tasktools.models import FailedTask
from tasktools.queues.pauses import TASK, Pause, utc_now
from tests.browser import opened, press, tab_to
from tests.nodes import node

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/admin/tasktools/taskoverview/"
LIST = "/admin/tasktools/failedtask/"
HOWS = pytest.mark.parametrize("how", ["mouse", "keyboard"])
STATS = {"pid": 7, "total": {}, "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 4}}

Failed = Callable[..., FailedTask]
Go = Callable[[str], Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all: it takes seconds to start."""
    with opened() as browser:
        yield browser


@pytest.fixture
def go(chromium: Any, live_server: Any, client: Any) -> Iterator[Go]:
    """Open a page as a superuser: go("/admin/")."""
    client.force_login(User.objects.create_superuser("ann", "ann@example.com", "x"))
    context = chromium.new_context()
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()

    def visit(path: str) -> Any:
        page.goto(f"{live_server.url}{path}")
        return page

    source.outdate()
    yield visit
    context.close()
    source.outdate()


@pytest.fixture
def sent(broker_queue: Callable[[], list[Any]]) -> Callable[[], list[str]]:
    """Take what was sent to the queue of the rows, as ids."""
    return lambda: [each.headers["id"] for each in broker_queue()]


def confirm(page: Any, how: str) -> None:
    """Answer the question with its button, and wait for what is said then."""
    press(page, page.locator("#content-main form [type=submit]"), how)
    page.wait_for_selector(".messagelist .success")


def logged() -> list[tuple[str, int, str]]:
    return [(each.object_id, each.action_flag, each.change_message) for each in LogEntry.objects.order_by("pk")]


# --- failed tasks


def is_sent_again(row: FailedTask, sent: list[str]) -> bool:
    row.refresh_from_db()
    return row.state == "sent" and row.sent_by == "ann" and row.new_id in sent


@HOWS
def test_send_again__of_a_group(go: Go, failed: Failed, sent: Callable[[], list[str]], how: str) -> None:
    rows, other = [failed(), failed()], failed(task="tests.site.tasks.echo")
    page = go(PAGE)
    button = page.get_by_role("link", name="Send again tests.site.tasks.add")
    press(page, button, how)
    press(page, page.get_by_role("link", name="No, take me back"), how)
    page.wait_for_url(f"**{PAGE}")
    assert sent() == []
    press(page, button, how)
    confirm(page, how)
    ids = sent()
    assert len(ids) == 2
    assert all(is_sent_again(row, ids) for row in rows)
    other.refresh_from_db()
    assert other.state == "failed"
    assert sorted(logged()) == sorted((str(row.pk), CHANGE, f"Sent again as {row.new_id}.") for row in rows)


@HOWS
def test_send_again__of_chosen_ones_of_the_list(
    go: Go, failed: Failed, sent: Callable[[], list[str]], how: str
) -> None:
    row, other = failed(), failed()
    page = go(LIST)
    box = page.locator(f'input.action-select[value="{row.pk}"]')
    if how == "mouse":
        box.check()
    else:
        tab_to(page, box)
        page.keyboard.press("Space")
    page.select_option("select[name=action]", "send_again")
    press(page, page.locator(".actions button"), how)
    confirm(page, how)
    ids = sent()
    assert len(ids) == 1
    assert is_sent_again(row, ids)
    assert not is_sent_again(other, ids)
    assert logged() == [(str(row.pk), CHANGE, f"Sent again as {row.new_id}.")]


@HOWS
@pytest.mark.parametrize("place", ["its page", "the page of the task"])
def test_send_again__of_one(go: Go, failed: Failed, sent: Callable[[], list[str]], how: str, place: str) -> None:
    row = failed()
    page = go(f"{LIST}{row.pk}/change/" if place == "its page" else f"{PAGE}task/?id={row.task_id}")
    press(page, page.get_by_role("link", name="Send again"), how)
    confirm(page, how)
    ids = sent()
    assert len(ids) == 1
    assert is_sent_again(row, ids)
    assert logged() == [(str(row.pk), CHANGE, f"Sent again as {row.new_id}.")]
    assert page.get_by_role("link", name="Send again").count() == 0


@HOWS
@pytest.mark.parametrize("place", ["list", "one"])
def test_forget(go: Go, failed: Failed, sent: Callable[[], list[str]], how: str, place: str) -> None:
    row, other = failed(), failed()
    if place == "one":
        page = go(f"{LIST}{row.pk}/change/")
        press(page, page.get_by_role("link", name="Forget"), how)
    else:
        page = go(LIST)
        page.locator(f'input.action-select[value="{row.pk}"]').check()
        page.select_option("select[name=action]", "delete_selected")
        press(page, page.locator(".actions button"), how)
    confirm(page, how)
    assert [each.pk for each in FailedTask.objects.all()] == [other.pk]
    assert sent() == []
    assert logged() == [(str(row.pk), DELETION, "")]


# --- queues, tasks and entries


@HOWS
def test_pause_and_resume__of_a_queue(go: Go, app: Any, how: str) -> None:
    name = f"browser-{how}"
    page = go(PAGE)
    with app.connection_for_write() as connection:
        app.send_task("shop.tasks.none", queue=name, connection=connection)
        try:
            press(page, page.get_by_role("link", name=f"Pause {name}"), how)
            tab_to(page, page.locator("#tt-duration"))
            page.keyboard.type("30m")
            page.keyboard.press("Tab")
            page.keyboard.type("a deployment")
            confirm(page, how)
            (kept,) = [each for each in read(app, utc_now()) if each.name == name]
            assert (kept.by, kept.reason) == ("ann", "a deployment")
            assert kept.until is not None
            press(page, page.get_by_role("link", name=f"Resume {name}"), how)
            confirm(page, how)
            assert [each for each in read(app, utc_now()) if each.name == name] == []
        finally:
            connection.default_channel.queue_delete(name)
    assert logged() == [(f"queue:{name}", CHANGE, "Paused for 30m."), (f"queue:{name}", CHANGE, "Resumed.")]


@HOWS
def test_resume__of_a_task(go: Go, app: Any, how: str) -> None:
    name = f"shop.tasks.{how}"
    pause(app, [Pause(what=TASK, name=name, since=utc_now())])
    page = go(PAGE)
    press(page, page.get_by_role("link", name=f"Resume {name}"), how)
    confirm(page, how)
    assert [each for each in read(app, utc_now()) if each.name == name] == []
    assert logged() == [(f"tasks:{name}", CHANGE, "Resumed.")]


@HOWS
@pytest.mark.parametrize("ends", [False, True], ids=["revoke", "end"])
def test_revoke(go: Go, app: Any, how: str, ends: bool) -> None:
    ident, heard = str(uuid.uuid4()), list[dict[str, Any]]()
    running = [{"id": ident, "name": "shop.pay", "time_start": time.time() - 5}]

    def revoke(**arguments: Any) -> Any:
        heard.append(arguments)
        return {"ok": "noted"}

    said = {"stats": lambda: STATS, "active_queues": list, "active": lambda **_: running, "revoke": revoke}
    with node(app, "one@browser", said):
        page = go(PAGE)
        press(page, page.get_by_role("link", name=f"Revoke {ident}"), how)
        if ends:
            tab_to(page, page.locator("#tt-terminate"))
            page.keyboard.press("Space")
        confirm(page, how)
    assert [each["task_id"] for each in heard] == [[ident]]
    assert [each.get("terminate", False) for each in heard] == [ends]
    assert page.url.endswith(f"{PAGE}task/?id={ident}")
    assert logged() == [(f"task:{ident}", CHANGE, "Revoked, and ended if it ran." if ends else "Revoked.")]


@HOWS
def test_run_now(go: Go, app: Any, sent: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    entry = {"task": "tests.site.tasks.total", "schedule": 3600.0, "args": (1,), "options": {"queue": "failed-tests"}}
    monkeypatch.setitem(app.conf.beat_schedule, "nightly", entry)
    page = go(PAGE)
    press(page, page.get_by_role("link", name="Run now nightly"), how)
    confirm(page, how)
    (ident,) = sent()
    assert logged() == [("entry:nightly", CHANGE, f'"tests.site.tasks.total" was sent as {ident}.')]


# --- what only looks


@HOWS
def test_find_refresh_and_stop(go: Go, app: Any, how: str) -> None:
    page = go(PAGE)
    toggle = page.locator(".tt-toggle")
    press(page, toggle, how)
    assert toggle.inner_text() == "Update again"
    page.wait_for_load_state("networkidle")  # while it asks, the button does nothing
    with page.expect_request("**/live/**"):
        press(page, page.locator(".tt-refresh"), how)
    page.wait_for_function("document.querySelector('.tt-at').textContent")
    assert toggle.inner_text() == "Update again"
    press(page, toggle, how)
    assert toggle.inner_text() == "Stop updating"
    tab_to(page, page.locator("#tt-id"))
    page.keyboard.type("0b2f7a4e-3c1d-4e5f-8a9b-000000000002")
    press(page, page.locator(".tt-tools form [type=submit]"), how)
    page.wait_for_selector("#tt-h-task")
    assert page.url.endswith("task/?id=0b2f7a4e-3c1d-4e5f-8a9b-000000000002")
    assert logged() == []
