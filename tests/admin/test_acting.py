"""Sending again and forgetting in the admin: asked first, done once, logged, and by nobody else."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.urls import clear_url_caches, get_resolver
from django.utils import timezone

from tasktools.admin import confirming, project_app
from tasktools.admin.failed_tasks import FailedTaskAdmin
from tasktools.exceptions import Unreachable
from tasktools.failures import forget, retry
from tasktools.failures.message import RETRY_OF
from tasktools.failures.retried import Retried, carry
from tasktools.models import FailedTask
from tests.admin.conftest import LIST

Make = Callable[..., FailedTask]
LogIn = Callable[..., Client]

ALL = ("view", "retry", "delete")
SLUGS = {"send-again": "retry", "forget": "delete"}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], str]]:
    """What was handed to `failures.retry.again`, which sends nothing here: it marks the rows."""
    calls: list[tuple[list[int], str]] = []

    def again(app: Any, ids: Any, by: str) -> Retried:
        calls.append((list(ids), by))
        rows = FailedTask.objects.filter(pk__in=ids, state="failed")
        done = Retried(sent=[(row.pk, row.task_id, f"new-{row.pk}") for row in rows])
        done.refused = [(row.pk, f"it was sent again by ann as {row.new_id}") for row in
                        FailedTask.objects.filter(pk__in=ids).exclude(state="failed")]  # fmt: skip
        rows.update(state="sent")
        return done

    monkeypatch.setattr(retry, "again", again)
    return calls


def messages(client: Client, url: str = LIST) -> str:
    """Return the reports on the next page."""
    found = re.search(r'<ul class="messagelist">(.*?)</ul>', client.get(url).content.decode(), re.DOTALL)
    return found[1] if found else ""


def choose(client: Client, action: str, *rows: FailedTask, **more: Any) -> str:
    """Choose an action of the list, and return the page with the question."""
    form = {"action": action, "_selected_action": [row.pk for row in rows], "index": 0, **more}
    answer = client.post(LIST, form)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def ids_of(question: str) -> str:
    found = re.search(r'name="ids" value="([\d,]*)"', question)
    assert found is not None
    return found[1]


def test_actions__are_offered_to_those_who_may(failed: Make, log_in: LogIn) -> None:
    failed()
    for who, offered in (
        (("view",), set()),
        (("view", "retry"), {"send_again"}),
        (ALL, {"send_again", "delete_selected"}),
    ):
        text = log_in(*who).get(LIST).content.decode()
        assert set(re.findall(r'<option value="(\w+)"', text)) == offered
        assert ('class="action-select"' in text) is bool(offered)


@pytest.mark.parametrize("slug", SLUGS)
def test_buttons__of_the_page_of_one_are_offered_to_those_who_may(failed: Make, log_in: LogIn, slug: str) -> None:
    row = failed()
    link = f'href="{LIST}{row.pk}/{slug}/"'
    assert link in log_in("view", SLUGS[slug]).get(f"{LIST}{row.pk}/change/").content.decode()
    others = [name for name in ALL if name != SLUGS[slug]]
    assert link not in log_in(*others).get(f"{LIST}{row.pk}/change/").content.decode()


@pytest.mark.parametrize("state", ["sent", "mended"])
def test_button__a_task_that_was_sent_again_has_none(failed: Make, log_in: LogIn, state: str) -> None:
    row = failed(state=state, new_id="x")
    assert "/send-again/" not in log_in(*ALL).get(f"{LIST}{row.pk}/change/").content.decode()


def test_button__a_task_that_is_being_sent_has_one_as_its_process_may_have_ended(failed: Make, log_in: LogIn) -> None:
    row = failed(state="sending", new_id="x")
    assert "/send-again/" in log_in(*ALL).get(f"{LIST}{row.pk}/change/").content.decode()


@pytest.mark.parametrize(
    ("state", "told"),
    [("failed", ""), ("sending", ""), ("sent", "1 was sent again before"), ("mended", "1 was sent again before")],
)
def test_question__names_what_was_sent_before(failed: Make, log_in: LogIn, state: str, told: str) -> None:
    question = log_in(*ALL).get(f"{LIST}{failed(state=state).pk}/send-again/").content.decode()
    assert ("was sent again before" in question) is bool(told)
    assert told in question


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("place", ["act", "ask"])
def test_verb__is_for_those_who_may(failed: Make, log_in: LogIn, sent: list[Any], slug: str, place: str) -> None:
    row = failed()
    url = f"{LIST}{slug}/" if place == "act" else f"{LIST}{row.pk}/{slug}/"
    others = [name for name in (*ALL, "change", "add") if name != SLUGS[slug]]
    # The permission alone is not enough: who cannot see a row does nothing with it.
    for client in (log_in(*others), log_in(SLUGS[slug]), log_in()):
        for answer in (client.post(url, {"ids": row.pk}), client.get(url)):
            assert answer.status_code == 403
    for nobody in (Client(), log_in(*ALL, is_staff=False)):
        assert nobody.post(url, {"ids": row.pk}).status_code == 302
    assert FailedTask.objects.filter(state="failed").count() == 1
    assert sent == []
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("action", ["send_again", "delete_selected"])
def test_action__that_is_not_offered_does_nothing(failed: Make, log_in: LogIn, sent: list[Any], action: str) -> None:
    row = failed()
    form = {"action": action, "_selected_action": [row.pk], "index": 0, "post": "yes"}
    assert log_in("view").post(LIST, form).status_code in (200, 302)
    assert FailedTask.objects.filter(state="failed").count() == 1
    assert sent == []


@pytest.mark.parametrize("slug", SLUGS)
def test_get__never_acts(failed: Make, log_in: LogIn, sent: list[Any], slug: str) -> None:
    row, client = failed(), log_in(*ALL)
    assert client.get(f"{LIST}{slug}/", {"ids": row.pk}).status_code == 405
    assert client.get(f"{LIST}{row.pk}/{slug}/").status_code == 200
    assert client.post(f"{LIST}{row.pk}/{slug}/").status_code == 200  # it asks again
    assert FailedTask.objects.filter(state="failed").count() == 1
    assert sent == []


@pytest.mark.parametrize("slug", SLUGS)
def test_post__from_another_site_is_refused(failed: Make, log_in: LogIn, sent: list[Any], slug: str) -> None:
    row, client = failed(), log_in(*ALL)
    client.handler.enforce_csrf_checks = True
    for url in (f"{LIST}{slug}/", LIST):
        form = {"ids": row.pk, "action": "send_again", "_selected_action": row.pk, "index": 0}
        assert client.post(url, form).status_code == 403
    assert FailedTask.objects.filter(state="failed").count() == 1
    assert sent == []


def test_send_again__asks_and_then_sends_and_logs(failed: Make, log_in: LogIn, sent: list[Any]) -> None:
    rows, client = [failed() for _ in range(3)], log_in(*ALL)
    question = choose(client, "send_again", *rows[:2])
    assert "2 failed tasks are chosen." in question
    assert sent == []
    answer = client.post(f"{LIST}send-again/", {"ids": ids_of(question)})
    assert answer["Location"] == LIST
    user = User.objects.get(pk=client.session["_auth_user_id"])
    assert sent == [([rows[0].pk, rows[1].pk], user.username)]
    assert "2 failed tasks were sent again." in messages(client)
    logged = LogEntry.objects.order_by("object_id")
    assert [(each.object_id, each.action_flag, each.user_id, each.change_message) for each in logged] == [
        (str(row.pk), CHANGE, user.pk, f"Sent again as new-{row.pk}.") for row in rows[:2]
    ]
    assert "Sent again as new-" in client.get(f"{LIST}{rows[0].pk}/history/").content.decode()


def test_send_again__reports_what_was_refused(failed: Make, log_in: LogIn, sent: list[Any]) -> None:
    row, client = failed(), log_in(*ALL)
    before = [failed(state="sent", new_id=f"id-{number}") for number in range(3)]
    client.post(f"{LIST}send-again/", {"ids": ",".join(str(each.pk) for each in (row, *before)) + ",999999"})
    told = messages(client)
    assert "1 failed task was sent again." in told
    assert "3 were left as they are. Of each of them: it was sent again by ann." in told
    assert "1 was left as it is: it is no longer in the table." in told
    assert LogEntry.objects.count() == 1


def test_send_again__counts_reasons_beyond_the_first(
    failed: Make, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, client = [failed() for _ in range(8)], log_in(*ALL)
    refused = Retried(refused=[(row.pk, f"<b>reason</b> {row.pk}") for row in rows])
    monkeypatch.setattr(retry, "again", lambda app, ids, by: refused)
    client.post(f"{LIST}send-again/", {"ids": ",".join(str(row.pk) for row in rows)})
    told = messages(client)
    assert told.count("&lt;b&gt;reason&lt;/b&gt;") == confirming.MOST_REASONS
    assert "3 more were left, for other reasons." in told


def test_send_again__reports_what_was_sent_before_an_error(
    failed: Make, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, client = [failed() for _ in range(2)], log_in(*ALL)

    def again(app: Any, ids: Any, by: str) -> Retried:
        # A quick worker has already run it.
        FailedTask.objects.filter(pk=ids[0]).update(state="mended", new_id="new", sent_by=by)
        error = Unreachable("The broker redis://u:p@h is away.", hint="start it")
        carry(error, Retried(sent=[(ids[0], "old", "new")]))
        raise error

    monkeypatch.setattr(retry, "again", again)
    client.post(f"{LIST}send-again/", {"ids": f"{rows[0].pk},{rows[1].pk}"})
    told = messages(client)
    assert "1 failed task was sent again." in told
    assert "is away. Hint: start it" in told
    assert LogEntry.objects.get().object_id == str(rows[0].pk)


def test_send_again__without_an_app_reports_why(failed: Make, log_in: LogIn, project: Any, monkeypatch: Any) -> None:
    project.found = None
    monkeypatch.setattr(project_app.startup, "run", lambda: None)

    def find() -> Any:
        raise Unreachable("No app.", hint="make one")

    monkeypatch.setattr(project_app.celery_app, "find", find)
    client = log_in(*ALL)
    client.post(f"{LIST}send-again/", {"ids": failed().pk})
    assert "No app. Hint: make one" in messages(client)


def test_send_again__of_one_returns_to_its_page(failed: Make, log_in: LogIn, sent: list[Any]) -> None:
    row, client = failed(), log_in(*ALL)
    question = client.get(f"{LIST}{row.pk}/send-again/").content.decode()
    assert ids_of(question) == str(row.pk)
    assert f'href="{LIST}{row.pk}/change/"' in question
    answer = client.post(f"{LIST}send-again/", {"ids": row.pk, "one": "1"})
    assert answer["Location"] == f"{LIST}{row.pk}/change/"
    assert "1 failed task was sent again." in messages(client, answer["Location"])


def test_forget__asks_and_then_deletes_and_logs(failed: Make, log_in: LogIn) -> None:
    rows, client = [failed(task=f"shop.tasks.t{number}") for number in range(3)], log_in(*ALL)
    question = choose(client, "delete_selected", *rows[1:])
    assert FailedTask.objects.count() == 3
    assert "shop.tasks.t1" in question
    assert "shop.tasks.t0" not in question
    client.post(f"{LIST}forget/", {"ids": ids_of(question)})
    assert list(FailedTask.objects.all()) == rows[:1]
    assert "2 failed tasks were forgotten." in messages(client)
    logged = LogEntry.objects.order_by("object_id")
    assert [(each.object_id, each.action_flag, each.object_repr) for each in logged] == [
        (str(row.pk), DELETION, f"{row.task} {row.task_id}") for row in rows[1:]
    ]


@pytest.mark.parametrize("place", ["forget", "delete"])
def test_forget__of_one_leads_to_the_list(failed: Make, log_in: LogIn, place: str) -> None:
    row, client = failed(), log_in(*ALL)
    question = client.get(f"{LIST}{row.pk}/{place}/").content.decode()
    assert client.post(f"{LIST}{row.pk}/{place}/", {"post": "yes"}).status_code == 200
    assert FailedTask.objects.exists()
    assert client.post(f"{LIST}forget/", {"ids": ids_of(question), "one": "1"})["Location"] == LIST
    assert not FailedTask.objects.exists()


def test_forget__leaves_what_is_being_sent(failed: Make, log_in: LogIn) -> None:
    rows, client = [failed(), failed(state="sending", new_id="x")], log_in(*ALL)
    client.post(f"{LIST}forget/", {"ids": ",".join(str(row.pk) for row in rows)})
    assert list(FailedTask.objects.all()) == rows[1:]
    told = messages(client)
    assert "1 failed task was forgotten." in told
    assert "1 was left as it is: it is being sent." in told
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize("slug", SLUGS)
def test_verb__keeps_the_filters_of_the_list(failed: Make, log_in: LogIn, sent: list[Any], slug: str) -> None:
    row, client = failed(), log_in(*ALL)
    action = "send_again" if slug == "send-again" else "delete_selected"
    form = {"action": action, "_selected_action": row.pk, "index": 0}
    question = client.post(f"{LIST}?state=failed&p=1", form).content.decode()
    url = re.search(r'<form method="post" action="([^"]+)"', question)
    assert url is not None
    assert (
        client.post(url[1].replace("&amp;", "&"), {"ids": ids_of(question)})["Location"] == f"{LIST}?state=failed&p=1"
    )


def test_question__takes_the_oldest_of_more_than_can_be_done_at_once(
    failed: Make, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirming, "MOST", 3)
    rows = [failed(failed_at=timezone.now() - timedelta(hours=age)) for age in (1, 5, 3, 4, 2)]
    question = choose(log_in(*ALL), "send_again", rows[0], select_across="1")
    assert ids_of(question) == ",".join(str(rows[place].pk) for place in (1, 3, 2))
    assert "Of 5 these are the oldest 3" in question
    assert "manage.py retryfailed" in question


def test_question__of_all_in_the_list_takes_those_of_its_filter(failed: Make, log_in: LogIn) -> None:
    kept, _other = failed(task="a.one"), failed(task="b.two")
    form = {"action": "send_again", "_selected_action": kept.pk, "index": 0, "select_across": "1"}
    question = log_in(*ALL).post(f"{LIST}?task=a.one", form).content.decode()
    assert ids_of(question) == str(kept.pk)


def test_question__names_some_of_many(failed: Make, log_in: LogIn) -> None:
    rows = [failed(task=f"shop.tasks.t{number:02}") for number in range(23)]
    question = choose(log_in(*ALL), "delete_selected", *rows)
    assert "shop.tasks.t19" in question
    assert "shop.tasks.t20" not in question
    assert "and 3 more" in question


@pytest.mark.parametrize("slug", SLUGS)
def test_question__is_no_form_of_an_object(failed: Make, log_in: LogIn, slug: str) -> None:
    """django-unfold and Grappelli have a change form of their own, which needs what only ModelAdmin gives to it."""
    row = failed()
    answer = log_in(*ALL).get(f"{LIST}{row.pk}/{slug}/")
    assert "admin/change_form.html" not in [each.name for each in answer.templates]
    page = answer.content.decode()
    assert "tasktools/admin.css" in page
    assert f'<a href="{LIST}">Failed tasks</a>' in page


@pytest.mark.parametrize("slug", SLUGS)
def test_question__has_the_breadcrumbs_of_this_django(failed: Make, log_in: LogIn, slug: str) -> None:
    row, client = failed(), log_in(*ALL)
    own, question = (client.get(path).content.decode() for path in (LIST, f"{LIST}{row.pk}/{slug}/"))
    crumbs = re.findall(r'<(\w+) class="breadcrumbs">', own)
    assert len(crumbs) == 1
    assert re.findall(r'<(\w+) class="breadcrumbs">', question) == crumbs
    assert question.count('<nav aria-label="Breadcrumbs">') == own.count('<nav aria-label="Breadcrumbs">')


@pytest.mark.parametrize("slug", SLUGS)
def test_question__has_its_breadcrumbs_in_a_theme_too(failed: Make, log_in: LogIn, bare_theme: None, slug: str) -> None:
    page = log_in(*ALL).get(f"{LIST}{failed().pk}/{slug}/").content.decode()
    assert page.startswith("<b>theme</b>")
    assert f'<a href="{LIST}">Failed tasks</a>' in page


@pytest.mark.parametrize("ids", ["", "x", "-1", "1e3", "٧", "9" * 30, ",,,", "1;2", "\0"])
@pytest.mark.parametrize("slug", SLUGS)
def test_forged_ids__do_nothing(failed: Make, log_in: LogIn, slug: str, ids: str) -> None:
    failed(pk=7)
    client = log_in(*ALL)
    assert client.post(f"{LIST}{slug}/", {"ids": ids}).status_code == 302
    assert FailedTask.objects.filter(state="failed").count() == 1
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_send_again__the_message_reaches_the_broker(
    failed: Make, log_in: LogIn, broker_queue: Callable[[], list[Any]]
) -> None:
    row, client = failed(), log_in(*ALL)
    for _ in range(2):  # a second press sends nothing
        client.post(f"{LIST}send-again/", {"ids": row.pk})
    (message,) = broker_queue()
    again = FailedTask.objects.get()
    assert (again.state, again.new_id) == ("sent", message.headers["id"])
    assert message.headers[RETRY_OF] == row.task_id
    assert bytes(message.body if isinstance(message.body, bytes) else message.body.encode()) == bytes(row.body or b"")
    assert again.sent_by == User.objects.get().username
    assert LogEntry.objects.get().change_message == f"Sent again as {again.new_id}."


@pytest.mark.django_db(transaction=True)
def test_send_again__is_not_taken_back_by_the_transaction_of_a_request(
    failed: Make, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    seen = []

    def again(app: Any, ids: Any, by: str) -> Retried:
        seen.append(connection.in_atomic_block)
        return Retried()

    monkeypatch.setattr(retry, "again", again)
    log_in(*ALL).post(f"{LIST}send-again/", {"ids": failed().pk})
    assert seen == [False]


@pytest.fixture
def own_pages() -> Iterator[type[FailedTaskAdmin]]:
    """Pages of the site's own, as the documentation says."""
    pages = type("OwnPages", (FailedTaskAdmin,), {})
    admin.site.unregister(FailedTask)
    admin.site.register(FailedTask, pages)
    clear_url_caches()
    urls: Any = get_resolver().urlconf_module
    importlib.reload(urls)
    yield pages
    admin.site.unregister(FailedTask)
    admin.site.register(FailedTask, FailedTaskAdmin)
    importlib.reload(urls)
    clear_url_caches()


@pytest.mark.parametrize("slug", SLUGS)
def test_act__takes_no_row_that_the_site_hides(
    failed: Make, log_in: LogIn, sent: list[Any], own_pages: Any, slug: str
) -> None:
    mine, other = failed(queue="mine"), failed(queue="other")
    own_pages.get_queryset = lambda self, request: FailedTaskAdmin.get_queryset(self, request).filter(queue="mine")
    client = log_in(*ALL)
    client.post(f"{LIST}{slug}/", {"ids": f"{mine.pk},{other.pk}"})
    assert FailedTask.objects.get(pk=other.pk).state == "failed"
    assert not FailedTask.objects.filter(pk=mine.pk, state="failed").exists()
    assert "1 was left as it is: it is no longer in the table." in messages(client)
    assert "other" not in client.get(LIST).content.decode().partition('id="changelist-filter"')[2]


@pytest.mark.parametrize("slug", SLUGS)
def test_act__asks_for_the_permission_of_each_row(
    failed: Make, log_in: LogIn, sent: list[Any], own_pages: Any, slug: str
) -> None:
    mine, other = failed(queue="mine"), failed(queue="other")
    own_pages.has_delete_permission = own_pages.has_retry_permission = lambda self, request, obj=None: (
        obj is None or obj.queue == "mine"
    )
    client = log_in(*ALL)
    assert client.get(f"{LIST}{other.pk}/{slug}/").status_code == 403
    assert client.get(f"{LIST}{mine.pk}/{slug}/").status_code == 200
    assert f"/{slug}/" not in client.get(f"{LIST}{other.pk}/change/").content.decode()
    client.post(f"{LIST}{slug}/", {"ids": f"{mine.pk},{other.pk}"})
    assert FailedTask.objects.get(pk=other.pk).state == "failed"
    assert not FailedTask.objects.filter(pk=mine.pk, state="failed").exists()
    assert "1 was left as it is: you have no permission for it." in messages(client)


def test_link__leads_to_no_row_that_the_site_hides(failed: Make, log_in: LogIn, own_pages: Any) -> None:
    row = failed(retry_of="before", queue="mine")
    hidden = failed(task_id="before", queue="other")
    client = log_in("view")
    link = f'href="{LIST}{hidden.pk}/change/"'
    assert link in client.get(f"{LIST}{row.pk}/change/").content.decode()
    own_pages.get_queryset = lambda self, request: FailedTaskAdmin.get_queryset(self, request).filter(queue="mine")
    assert link not in client.get(f"{LIST}{row.pk}/change/").content.decode()


@pytest.mark.parametrize("slug", SLUGS)
def test_act__of_a_table_that_is_away_is_a_report(
    failed: Make, log_in: LogIn, sent: list[Any], monkeypatch: pytest.MonkeyPatch, slug: str
) -> None:
    row, client = failed(), log_in(*ALL)

    def away(self: Any, request: Any) -> Any:
        raise OperationalError("the server has closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(FailedTaskAdmin, "get_queryset", away)
        answer = client.post(f"{LIST}{slug}/", {"ids": row.pk, "one": "1"})
    assert (answer.status_code, answer["Location"]) == (302, LIST)
    assert "cannot be used: the server has closed the connection" in messages(client)
    assert sent == []
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("slug", SLUGS)
def test_act__is_reported_although_the_history_cannot_be_written(
    failed: Make,
    log_in: LogIn,
    sent: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    slug: str,
) -> None:
    row, client = failed(), log_in(*ALL)

    def fail(*_: Any, **__: Any) -> Any:
        raise OperationalError("the server has closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(LogEntry.objects, "bulk_create", fail)
        assert client.post(f"{LIST}{slug}/", {"ids": row.pk}).status_code == 302
    told = messages(client)
    assert "1 failed task was " in told
    assert "The history has no line of this: the server has closed the connection." in told
    assert f"rows [{row.pk}]" in caplog.text


def test_forget__that_breaks_off_reports_what_is_gone(
    failed: Make, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, client = [failed() for _ in range(3)], log_in(*ALL)
    monkeypatch.setattr(forget, "BATCH_SIZE", 1)
    steps = forget.steps

    def broken(ids: Any) -> Any:
        left = steps(ids)
        yield from (next(left), next(left))
        raise Unreachable("The database is away.", hint="start it")

    monkeypatch.setattr(forget, "steps", broken)
    client.post(f"{LIST}forget/", {"ids": ",".join(str(row.pk) for row in rows)})
    told = messages(client)
    assert "2 failed tasks were forgotten." in told
    assert "The database is away. Hint: start it" in told
    assert [row.pk for row in FailedTask.objects.all()] == [rows[2].pk]
    assert LogEntry.objects.count() == 2


def test_notes__are_counted(failed: Make, log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, client = [failed() for _ in range(2)], log_in(*ALL)
    notes: dict[int, tuple[str, ...]] = {rows[0].pk: ("one", "both"), rows[1].pk: ("both",)}
    monkeypatch.setattr(retry, "again", lambda app, ids, by: Retried(notes=notes))
    client.post(f"{LIST}send-again/", {"ids": f"{rows[0].pk},{rows[1].pk}"})
    told = messages(client)
    assert "1 is not as it came: one." in told
    assert "2 are not as they came. Of each: both." in told


class ReplicaRouter:
    """Reads of failed tasks are from a database that is not there."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "no-replica" if model is FailedTask else None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "default" if model is FailedTask else None


def test_pages__read_where_it_is_written(failed: Make, log_in: LogIn, settings: Any) -> None:
    row, client = failed(retry_of="x", state="sent", new_id="y"), log_in(*ALL)
    settings.DATABASE_ROUTERS = [f"{__name__}.ReplicaRouter"]
    for url in (LIST, f"{LIST}{row.pk}/change/", f"{LIST}{row.pk}/text/traceback/", f"{LIST}{row.pk}/forget/"):
        assert client.get(url).status_code == 200
    client.post(f"{LIST}forget/", {"ids": row.pk})
    settings.DATABASE_ROUTERS = []
    assert not FailedTask.objects.exists()
