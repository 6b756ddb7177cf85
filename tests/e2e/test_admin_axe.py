"""What a screen reader meets on the pages of the admin: axe-core finds no fault, in both color schemes."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth.models import User

from tasktools.admin.tasks_page import one_task, source
from tasktools.admin.tasks_page.source import Entries
from tasktools.beat.outlook import EntryInfo
from tasktools.beat.state import State
from tasktools.control.workers import ONLINE, SILENT, RunningTask, Worker
from tasktools.health.minutes import Minute
from tasktools.models import FailedTask
from tasktools.overview.snapshot import Queue, Snapshot, Trouble
from tasktools.queues.pauses import QUEUE, TASK, Pause
from tasktools.results.locate import Located
from tasktools.results.outcome import Outcome
from tests.browser import opened

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/admin/tasktools/taskoverview/"
LIST = "/admin/tasktools/failedtask/"
NOW = datetime.now(timezone.utc)

#: Each look is one of its own: what a page shows of a look is kept by its time.
_looks = itertools.count()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all: it takes seconds to start."""
    with opened() as browser:
        yield browser


def full() -> Snapshot:
    """Return a look at which each kind of row is there."""
    minute = Minute(at=int(time.time()), counts=Counter(succeeded=3, failed=1, retried=1), seconds=4.0)
    task = RunningTask(id="abc", name="shop.pay", args="", kwargs="", seconds=3.0)
    return Snapshot(
        at=NOW,
        queues=[
            Queue(name="mail", ready=7, oldest=80.0, consumers=0),
            Queue(
                name="slow", ready=0, paused=Pause(what=QUEUE, name="slow", since=NOW, by="ann", reason="a deployment")
            ),
            Queue(name="other", ready=None, is_other_type=True),
        ],
        workers=[
            Worker(name="one@h", state=ONLINE, running=1, tasks=[task]),
            Worker(name="two@h", state=SILENT),
        ],
        paused_tasks=[Pause(what=TASK, name="shop.pay", since=NOW)],
        minutes=[minute],
        unacked=2,
        beat=State(),
    )


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the pages show this, and no broker asked."""
    fields: dict[str, Any] = dict.fromkeys(EntryInfo.__dataclass_fields__) | {"next": (), "fault": "", "doubt": ""}
    entries = [
        EntryInfo(**fields | {"name": "nightly", "task": "shop.report", "when": "every 60 s", "enabled": True, **more})
        for more in ({"last_run": NOW, "last_id": "abc"}, {"name": "broken", "fault": "no such task"})
    ]
    outcome = Outcome(id="abc", state="PROGRESS", result={"done": 3}, task="shop.pay", worker="one@h", place="active")

    def show(seen: Snapshot) -> None:
        mine = dataclasses.replace(seen, at=NOW - timedelta(microseconds=next(_looks)))
        monkeypatch.setattr(source, "snapshot", lambda wait: mine)
        monkeypatch.setattr(source, "entries", lambda wait: Entries(entries=entries))
        monkeypatch.setattr(one_task.backend, "look", lambda app, task_id: outcome)
        monkeypatch.setattr(one_task.locate, "places", lambda *_, **__: Located(outcomes=[outcome]))

    return show


@pytest.fixture
def faults(chromium: Any, live_server: Any, client: Any) -> Iterator[Callable[..., dict[str, Any]]]:
    """Return what axe-core says against a page, by color scheme and width: faults(path, "a text that the page has")."""
    from axe_playwright_python.sync_playwright import Axe

    client.force_login(User.objects.create_superuser("ann", "ann@example.com", "x"))
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    looks = {}
    for scheme, width in (("light", 390), ("dark", 1280)):
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        context.add_cookies([cookie])
        looks[f"{scheme}, {width}"] = context.new_page()

    def look(path: str, said: str = "") -> dict[str, Any]:
        found = {}
        for name, page in looks.items():
            page.goto(f"{live_server.url}{path}")
            assert said in page.inner_text("#content-main"), page.inner_text("#content-main")
            violations = Axe().run(page).response["violations"]
            found[name] = [(each["id"], [node["target"] for node in each["nodes"]]) for each in violations]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found[name].append("it is wider than the window")
        return {name: each for name, each in found.items() if each}

    yield look
    for page in looks.values():
        page.context.close()


EMPTY = Snapshot(at=NOW, minutes=[Minute(at=0)])
UNLISTED = Snapshot(at=NOW, queues=[Queue(name="mail", ready=7)], knows_all=False, beat=State(is_known=False))
AWAY = Snapshot(at=NOW, trouble=Trouble(sentence="The broker cannot be reached.", hint="start it"))


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        pytest.param(full(), "a deployment", id="full"),
        pytest.param(EMPTY, "There are no queues.", id="empty"),
        pytest.param(UNLISTED, "This broker does not say which others there are", id="unlisted"),
        pytest.param(AWAY, "The broker cannot be reached.", id="away"),
    ],
)
def test_page(
    shows: Callable[..., None], failed: Callable[..., FailedTask], faults: Callable[..., Any], seen: Snapshot, said: str
) -> None:
    shows(seen)
    if seen.workers:
        failed()
    assert faults(PAGE, said) == {}


@pytest.mark.parametrize(
    "path",
    ["task/?id=abc", "do/pause/?name=mail", "do/resume/?name=mail", "do/revoke/?name=abc", "do/run/?name=nightly"],
)
def test_page__below(shows: Callable[..., None], faults: Callable[..., Any], path: str) -> None:
    shows(full())
    assert faults(f"{PAGE}{path}") == {}


@pytest.mark.parametrize("path", ["", "{}/change/", "{}/send-again/", "{}/forget/", "{}/history/"])
def test_failed_tasks(failed: Callable[..., FailedTask], faults: Callable[..., Any], path: str) -> None:
    row = failed()
    assert faults(f"{LIST}{path.format(row.pk)}") == {}
