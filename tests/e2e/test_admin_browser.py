"""The page "Tasks" in a real browser: under a strict policy, with the keyboard, and without a request to another host."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.http import HttpRequest, HttpResponse

from tasktools.admin.tasks_page import doing, source
from tasktools.admin.tasks_page.doing import Deed
from tasktools.admin.tasks_page.source import Entries
from tasktools.beat.outlook import EntryInfo
from tasktools.beat.times import Time
from tasktools.control.workers import ONLINE, RunningTask, Worker
from tasktools.overview.snapshot import Queue, Snapshot
from tasktools.queues.pauses import Pause
from tests.browser import opened

pytestmark = pytest.mark.browser

POLICY = "default-src 'self'"


def strict(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: send the policy with each page."""

    def respond(request: HttpRequest) -> HttpResponse:
        answer = get_response(request)
        answer["Content-Security-Policy"] = POLICY
        return answer

    return respond


@pytest.fixture(scope="class")
def chromium() -> Iterator[Any]:
    """One browser for all, as it takes seconds to start. It ends, with the connections it keeps, ahead of the live server."""
    with opened() as browser:
        yield browser


class TestPage(StaticLiveServerTestCase):
    @pytest.fixture(autouse=True)
    def browser(self, monkeypatch: pytest.MonkeyPatch, chromium: Any) -> None:
        self.opened = chromium
        self.waiting = 1
        fields: dict[str, Any] = dict.fromkeys(EntryInfo.__dataclass_fields__) | {"next": (), "fault": "", "doubt": ""}
        entry = EntryInfo(**fields | {"name": "nightly", "task": "shop.report", "when": "every 60 s", "enabled": True})
        monkeypatch.setattr(source, "snapshot", lambda wait: self.seen())
        self.read = [entry]
        self.read_at: datetime | None = None
        self.since: datetime | None = None
        monkeypatch.setattr(source, "entries", lambda wait: self.entries())
        self.deeds = lambda deeds: monkeypatch.setattr(doing, "DEEDS", deeds)

    def entries(self) -> Entries:
        return Entries(entries=self.read, **({"at": self.read_at} if self.read_at else {}))

    def seen(self) -> Snapshot:
        pause = Pause(what="queue", name="slow", since=datetime.now(timezone.utc))
        task = RunningTask(id="abc", name="shop.pay", args="", kwargs="", seconds=3.0, since=self.since)
        return Snapshot(
            at=datetime.now(timezone.utc),
            queues=[
                Queue(name="mail", ready=self.waiting, consumers=1),
                Queue(name="<b>bold</b>", ready=0),
                Queue(name="slow", ready=0, paused=pause),
            ],
            workers=[Worker(name="one@h", state=ONLINE, tasks=[task], running=1)],
        )

    def page(self, **options: Any) -> Any:
        User.objects.create_superuser("ann", "ann@example.com", "x")
        page = self.opened.new_context(**options).new_page()
        self.said: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        page.goto(f"{self.live_server_url}/admin/login/?next=/admin/tasktools/taskoverview/")
        page.fill("#id_username", "ann")
        page.fill("#id_password", "x")
        page.click("[type=submit]")
        page.wait_for_selector("#tt-h-queues")
        return page

    def test_page__is_live_under_a_strict_policy_and_keeps_the_focus(self) -> None:
        with self.settings(MIDDLEWARE=[*settings.MIDDLEWARE, f"{__name__}.strict"]):
            page = self.page()
            page.focus('[data-key="q:mail"]')
            self.waiting = 41
            page.wait_for_selector('td[data-label="Waiting"]:has-text("41")', timeout=10_000)
            assert page.evaluate("document.activeElement.dataset.key") == "q:mail"
            assert page.locator("b").count() == 0
            toggle = page.locator(".tt-toggle")
            toggle.click()
            assert toggle.inner_text() == "Update again"
            page.focus('[data-key="q:mail"]')
            page.keyboard.press("Enter")
            page.wait_for_selector("#tt-duration")
            page.keyboard.press("Tab")
            assert page.url.endswith("/do/pause/?name=mail")
        assert self.hosts == {self.live_server_url.split("/")[2]}
        assert [each for each in self.said if "favicon" not in each and "404" not in each] == []

    def test_times__follow_the_clock(self) -> None:
        """What the site has read of the schedule stays the same: the times stood still until it was read again."""
        now = datetime.now(timezone.utc)
        (entry,) = self.read
        self.read = [
            dataclasses.replace(
                entry, next=(Time(at=now + timedelta(hours=1)),), last_run=now - timedelta(hours=1), last_id="abc"
            )
        ]
        self.read_at = now - timedelta(days=1)  # its own words are a day old
        self.since = now - timedelta(hours=2)
        page = self.page()
        page.wait_for_function("/^in 5\\d min/.test(document.querySelector('[data-clock=until]').textContent)")
        for kind, text in (("ago", "1 h ago"), ("for", "2 h")):
            assert page.locator(f"time[data-clock={kind}]").first.inner_text().startswith(text), kind
        seen = "document.querySelector('[data-clock=until]').textContent"
        first = page.evaluate(seen)
        page.wait_for_function(f"{seen} !== {first!r}", timeout=60_000)
        shown = ((-1, "^now$"), (58, r"^in \d+ s$"), (115, r"^in 1 min \d+ s$"), (176_500, "^in 2 d 1 h$"))
        for seconds, pattern in shown:
            at = (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()
            # It is set again and again: an answer of the site puts the first one back once.
            page.wait_for_function(
                f"document.querySelector('[data-clock=until]').dateTime = {at!r}, new RegExp({pattern!r}).test({seen})"
            )
        assert self.said == [] or all("favicon" in each or "404" in each for each in self.said)

    def test_buttons__each_asks_and_does_it(self) -> None:
        done: list[tuple[str, str, str]] = []

        def recording(deed: Deed) -> Deed:
            def perform(name: str, form: Mapping[str, str], by: str) -> Any:
                done.append((deed.name, name, by))
                return [(messages.SUCCESS, f"{deed.name} is done")], "Done."

            return dataclasses.replace(deed, perform=perform)

        self.deeds({name: recording(each) for name, each in doing.DEEDS.items()})
        page = self.page()
        for button in ("Pause mail", "Resume slow", "Revoke abc", "Run now nightly"):
            page.goto(f"{self.live_server_url}/admin/tasktools/taskoverview/")
            page.get_by_role("link", name=button).click()
            page.locator("#content-main form [type=submit]").click()
            page.wait_for_selector(".messagelist .success")
        assert done == [
            ("pause", "mail", "ann"),
            ("resume", "slow", "ann"),
            ("revoke", "abc", "ann"),
            ("run", "nightly", "ann"),
        ]
        assert LogEntry.objects.count() == 4

    def test_page__works_without_javascript_and_fits_a_telephone(self) -> None:
        page = self.page(java_script_enabled=False, viewport={"width": 390, "height": 800})
        assert page.locator(".tt-toggle").is_hidden()
        self.waiting = 42
        page.click(".tt-refresh")
        page.wait_for_selector('td[data-label="Waiting"]:has-text("42")')
        assert page.locator("#content-main").bounding_box()["width"] <= 390

    def test_page__of_many_entries_is_as_high_as_what_it_shows(self) -> None:
        self.read = [dataclasses.replace(self.read[0], name=f"entry-{number}") for number in range(200)]
        for width in (390, 1280):
            User.objects.all().delete()
            page = self.page(viewport={"width": width, "height": 800})
            height = page.evaluate("document.documentElement.scrollHeight")
            below = page.locator("#tt-failed").bounding_box()
            assert height < below["y"] + below["height"] + 200
            last = page.locator('[data-key="e:entry-199"]')
            last.focus()
            page.wait_for_function("document.activeElement.getBoundingClientRect().bottom < innerHeight")
            assert page.evaluate("document.documentElement.scrollHeight") == height

    def test_page__that_is_refused_is_loaded_again_once(self) -> None:
        page = self.page()
        loads: list[str] = []
        page.on("request", lambda request: loads.append(request.url) if request.is_navigation_request() else None)
        page.route("**/live/*", lambda route: route.fulfill(status=403))
        page.wait_for_selector(".tt-away:not([hidden])", timeout=15_000)
        assert len(loads) == 1
        page.unroute("**/live/*")
        self.waiting = 43
        page.click(".tt-refresh")
        page.wait_for_selector('td[data-label="Waiting"]:has-text("43")')
        assert page.locator(".tt-away").is_hidden()
        assert page.locator(".tt-at").inner_text()

    def test_page__stops_without_input_where_that_keeps_a_session(self) -> None:
        with self.settings(SESSION_SAVE_EVERY_REQUEST=True):
            page = self.page()
            page.clock.install()
            page.reload()
            page.clock.fast_forward(3_601_000)
            page.wait_for_selector('.tt-toggle:has-text("Update again")')
            page.keyboard.press("Tab")
            self.waiting = 44
            page.locator(".tt-toggle").click()
            page.wait_for_selector('td[data-label="Waiting"]:has-text("44")')
