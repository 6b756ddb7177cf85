"""What the page "Tasks" sends again and what it keeps: only parts that have changed, and rows with all that is known."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import django
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import translation
from django.utils.timezone import override

from tasktools.admin.tasks_page import charts, source, words
from tasktools.admin.tasks_page.kept import Part
from tasktools.admin.tasks_page.rows import EntryRows, moment
from tasktools.admin.tasks_page.source import Entries
from tasktools.beat.outlook import EntryInfo
from tasktools.beat.times import Time
from tasktools.overview.snapshot import Queue, Snapshot

PAGE = "/admin/tasktools/taskoverview/"
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def client(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser(f"user-{uuid.uuid4()}", "a@example.com", "x"))
    return client


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    entries = Entries()

    def show(**fields: Any) -> None:
        seen = Snapshot(**{"at": datetime.now(timezone.utc), **fields})
        monkeypatch.setattr(source, "snapshot", lambda wait: seen)
        monkeypatch.setattr(source, "entries", lambda wait: entries)

    return show


def test_live__leaves_out_the_parts_that_the_page_has(client: Client, shows: Callable[..., None]) -> None:
    shows(queues=[Queue(name="mail", ready=7)])
    page = client.get(PAGE).content.decode()
    first = client.get(f"{PAGE}live/").json()
    have = first["digests"]
    assert all(f'data-digest="{each}"' in page for each in have.values())
    shows(queues=[Queue(name="mail", ready=8)])
    again = client.get(f"{PAGE}live/", {"have": ",".join(have.values())}).json()
    assert set(again["parts"]) == set(again["digests"]) == {"queues"}
    assert again["digests"]["queues"] == Part("queues", again["parts"]["queues"]).digest != have["queues"]


def test_live__sends_a_part_that_has_become_empty_as_others_are(
    log_in: Callable[..., Client], shows: Callable[..., None]
) -> None:
    # Without the permission the part "failed" is empty: its digest must not stand for that of a warning that is gone.
    client = log_in()
    User.objects.get().user_permissions.set(Permission.objects.filter(codename="view_taskoverview"))
    shows(queues=[Queue(name="mail", ready=7, consumers=0)])
    first = client.get(f"{PAGE}live/").json()
    assert "No worker reads" in first["parts"]["status"]
    assert not first["parts"]["failed"].strip()
    shows(queues=[Queue(name="mail", ready=0, consumers=1)])
    again = client.get(f"{PAGE}live/", {"have": ",".join(first["digests"].values())}).json()
    assert again["parts"]["status"].strip() == ""


@pytest.mark.parametrize("have", ["\0", "x" * 4_000, ",,,", "<script>"])
def test_live__of_digests_that_nobody_has_made(client: Client, shows: Callable[..., None], have: str) -> None:
    shows()
    assert len(client.get(f"{PAGE}live/", {"have": have}).json()["parts"]) == 6


CRUMBS = re.compile(r'<(\w+) class="breadcrumbs">')


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}task/", f"{PAGE}do/pause/?name=mail"])
def test_page__has_the_breadcrumbs_of_this_django(client: Client, shows: Callable[..., None], path: str) -> None:
    # Its styles know no others: Django 6.1 has a list of them.
    shows()
    own = CRUMBS.findall(client.get("/admin/auth/user/").content.decode())
    assert len(own) == 1
    page = client.get(path).content.decode()
    assert CRUMBS.findall(page) == own
    assert page.count("&rsaquo;") == (own == ["div"]) * (2 if path == PAGE else 3)


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}task/", f"{PAGE}do/pause/?name=mail"])
def test_page__has_its_breadcrumbs_in_a_theme_too(
    client: Client, shows: Callable[..., None], bare_theme: None, path: str
) -> None:
    shows()
    page = client.get(path).content.decode()
    assert page.startswith("<b>theme</b>")
    assert len(CRUMBS.findall(page)) == 1


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 6.0 brought nonces")
def test_page__has_the_nonce_of_a_strict_policy(client: Client, shows: Callable[..., None], settings: Any) -> None:
    shows()
    template = copy.deepcopy(settings.TEMPLATES)
    template[0]["OPTIONS"]["context_processors"].append("django.template.context_processors.csp")
    settings.TEMPLATES = template
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.csp.ContentSecurityPolicyMiddleware"]
    settings.SECURE_CSP = {"default-src": ["<CSP_NONCE_SENTINEL>"]}
    for path in (PAGE, f"{PAGE}task/"):
        page = client.get(path)
        nonce = re.findall(r"'nonce-([^']+)'", page["Content-Security-Policy"])[0]
        own = re.findall(r"<(?:link|script)[^>]*tasktools/[^>]*>", page.content.decode())
        assert own
        assert all(f'nonce="{nonce}"' in each for each in own)


def test_page__has_the_texts_of_its_clock_as_the_site_translates_them(
    client: Client, shows: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shows()
    texts = {"in %s": 'dans "%s"', "%s ago": "il y a %s", "now": "maintenant"}
    monkeypatch.setattr(translation._trans, "gettext", lambda message: texts.get(str(message), str(message)))
    page = client.get(PAGE).content.decode()
    assert 'data-until="dans &quot;%s&quot;" data-ago="il y a %s" data-due="maintenant"' in page


def test_page__says_when_it_was_seen(client: Client, shows: Callable[..., None], settings: Any) -> None:
    settings.USE_TZ, settings.TIME_ZONE = True, "UTC"
    shows(at=NOON)
    assert '<span class="tt-at">12:00:00</span>' in client.get(PAGE).content.decode()
    assert client.get(f"{PAGE}live/").json()["at"] == "12:00:00"


def test_page__stops_where_each_request_prolongs_the_session(
    client: Client, shows: Callable[..., None], settings: Any
) -> None:
    shows()
    assert 'data-unused="0"' in client.get(PAGE).content.decode()
    settings.SESSION_SAVE_EVERY_REQUEST = True
    assert 'data-unused="3600"' in client.get(PAGE).content.decode()


def entry(**fields: Any) -> EntryInfo:
    known: dict[str, Any] = dict.fromkeys(EntryInfo.__dataclass_fields__) | {"next": (), "fault": "", "doubt": ""}
    return EntryInfo(**known | {"name": "<b>", "task": "shop.report", "when": "every 60 s", "enabled": True} | fields)


def row(may_run: bool = True, **fields: Any) -> str:
    rows = EntryRows(NOON, may_run=may_run, run=lambda name: f"/run?{name}&", task=lambda task_id: f"/task?{task_id}")
    return rows.row(entry(**fields))


def test_row__escapes_what_strangers_write() -> None:
    assert "<b>" not in row()
    assert 'href="/run?&lt;b&gt;&amp;"' in row()
    assert 'data-key="e:&lt;b&gt;"' in row()
    assert "/run?" not in row(may_run=False)
    assert "/run?" not in row(fault="<i>no such task</i>")
    assert "&lt;i&gt;no such task&lt;/i&gt;" in row(fault="<i>no such task</i>")


def test_row__names_its_task_unless_the_entry_is_called_like_it() -> None:
    assert row().count("shop.<wbr>report") == 1
    assert row(name="shop.report").count("shop.<wbr>report") == 1


def test_row__has_its_times() -> None:
    upcoming = Time(at=NOON + timedelta(minutes=5))
    shown = row(next=(upcoming,), last_run=NOON - timedelta(seconds=30), last_id="abc", overdue_since=NOON)
    assert f'<time datetime="{upcoming.at.isoformat()}" data-clock="until">in 5 min</time>' in shown
    assert moment(upcoming.at) in shown
    ran = '<time datetime="2026-05-04T11:59:30+00:00" data-clock="ago">30 s ago</time>'
    assert f'<a href="/task?abc" data-key="le:&lt;b&gt;">{ran}</a>' in shown
    assert "overdue" in shown
    assert "switched off" in row(enabled=False)


@pytest.mark.parametrize(
    ("most", "top"),
    [
        (0, "1 s"),
        (0.003, "3 ms"),
        (0.0061, "7.5 ms"),
        (0.014, "15 ms"),
        (0.07, "75 ms"),
        (0.4, "0.5 s"),
        (8.0, "10 s"),
        (55, "1 min"),
        (60, "1 min"),
        (61, "1 min 30 s"),
        (1_800, "30 min"),
        (3_300, "1 h"),
        (3_700, "1 h 30 min"),
        (20 * 3_600, "20 h"),
        (24 * 3_600, "1 d"),
        (25 * 3_600, "1 d 12 h"),
        (61 * 3_600, "3 d"),
        (4e5, "5 d"),
    ],
)
def test_axis_of_times__ends_at_a_round_time(most: float, top: str) -> None:
    assert words.duration(charts.nice_time(most)) == top


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.003, "3 ms"), (0.00033, "0.33 ms"), (0.0999, "99.9 ms"), (0.1, "0.1 s"), (0.12, "0.12 s")],
)
def test_duration__of_less_than_a_tenth_is_in_milliseconds(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_moment__is_in_the_readers_language() -> None:
    with translation.override("en"):
        english = moment(NOON)
    with translation.override("de"):
        assert moment(NOON) != english


@pytest.mark.parametrize(
    ("zone", "end"),
    [
        ("Asia/Tokyo", datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)),
        ("America/New_York", datetime(1, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_moment__at_the_ends_of_the_calendar(zone: str, end: datetime) -> None:
    with override(zone):
        assert words.local(end) == end.replace(tzinfo=None)
        assert f"{end:%m/%d}/{end.year:04}" in moment(end)


def due(at: datetime, **fields: Any) -> EntryInfo:
    return entry(next=(Time(at=at),), **fields)


@pytest.mark.parametrize(
    ("due_at", "looked_at", "is_past"),
    [
        (5, 5, False),
        (5, 5.4, False),
        (5, 5.5, True),  # beat has sent it by now
        (5, 30, True),
        (1, 1.9, False),  # it was read just before
        (1, 2, True),
        (-9, 2, True),  # it is not known yet that it has run
        (-10, 2, False),  # beat has not sent it in time: there is no hurry
        (60, 10, False),
    ],
)
def test_entries__are_read_again_soon_after_one_is_due(due_at: float, looked_at: float, is_past: bool) -> None:
    """It was shown only at the next reading, up to ten seconds later."""
    read, looked = NOON, NOON + timedelta(seconds=looked_at)
    known = [entry(), due(NOON + timedelta(hours=1)), due(NOON + timedelta(seconds=due_at))]
    assert Entries(entries=known, at=read).is_past(looked) is is_past
    assert Entries(entries=[due(NOON + timedelta(seconds=5), enabled=False)], at=read).is_past(looked) is False


def test_live__is_not_fresh_as_long_as_an_entry_is_due(
    client: Client, shows: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shows()
    now = datetime.now(timezone.utc)
    for seconds, is_fresh in ((-3, False), (3600, True)):
        known = Entries(entries=[due(now + timedelta(seconds=seconds))], at=now - timedelta(seconds=5))
        monkeypatch.setattr(source, "entries", lambda wait, known=known: known)
        assert client.get(f"{PAGE}live/").json()["is_fresh"] is is_fresh


def test_page__has_times_that_are_right_without_its_script(
    client: Client, shows: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were as old as what is known of the schedule."""
    shows()
    now = datetime.now(timezone.utc)
    known = Entries(entries=[entry(last_run=now - timedelta(days=2))], at=now - timedelta(days=1))
    monkeypatch.setattr(source, "entries", lambda wait: known)
    page, live = client.get(PAGE).content.decode(), client.get(f"{PAGE}live/").json()
    assert ">2 d ago</time>" in page
    assert ">1 d ago</time>" in live["parts"]["schedule"]  # the script counts, and all readers share it
    assert abs(live["now"] - now.timestamp()) < 120
    assert f'data-now="{now:%Y-%m-%dT}' in page or f'data-now="{datetime.now(timezone.utc):%Y-%m-%dT}' in page
