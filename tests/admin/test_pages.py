"""What the admin shows of failed tasks, and to whom."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasktools.admin import texts
from tasktools.failures.message import Kept
from tasktools.models import FailedTask
from tests.admin.conftest import LIST, PAGES

Make = Callable[..., FailedTask]
LogIn = Callable[..., Client]


def page(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


@pytest.mark.parametrize("name", PAGES)
def test_page__is_for_those_who_may_view(failed: Make, log_in: LogIn, name: str) -> None:
    url = PAGES[name].format(failed().pk)
    assert log_in("view").get(url).status_code == 200
    assert log_in("retry", "delete", "change", "add").get(url).status_code == 403
    for nobody in (Client(), log_in("view", is_staff=False)):
        answer = nobody.get(url)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_index__names_the_failed_tasks_to_those_who_may_view(log_in: LogIn) -> None:
    assert LIST in page(log_in("view"), "/admin/")
    assert LIST not in page(log_in("retry"), "/admin/")


def test_pauses__are_not_in_the_admin(log_in: LogIn) -> None:
    client = log_in("view")
    assert client.get("/admin/tasktools/paused/").status_code == 404


@pytest.mark.parametrize("url", [f"{LIST}add/", f"{LIST}{{}}/change/"])
def test_nothing__can_be_added_or_edited(failed: Make, log_in: LogIn, url: str) -> None:
    row = failed()
    client = log_in("view", "add", "change", "delete", "retry")
    assert client.post(url.format(row.pk), {"task": "other"}).status_code == 403
    assert FailedTask.objects.get().task == row.task
    assert not re.search(r'<(input|textarea|select)[^>]+name="(?!csrf)', page(client, f"{LIST}{row.pk}/change/"))


def test_list__shows_what_failed_where_and_why(failed: Make, log_in: LogIn) -> None:
    failed(task="shop.tasks.pay", kind="soft_limit", queue="money", worker="celery@w7", failures=41, reason="too slow")
    text = page(log_in("view"), LIST)
    for part in (
        "shop.tasks.pay",
        "exceeded its soft time limit",
        "ValueError",
        "too slow",
        "money",
        "celery@w7",
        "41",
    ):
        assert part in text
    assert "<bdi>ValueError</bdi>" in text


def test_list__cuts_a_long_reason(failed: Make, log_in: LogIn) -> None:
    failed(reason="long " * 2000)
    text = page(log_in("view"), LIST)
    assert text.count("long ") <= 41
    assert "…" in text


def test_names__are_cut_in_the_list_and_whole_on_the_page_of_one(failed: Make, log_in: LogIn) -> None:
    row = failed(task="t" * 250, exception="e" * 250, queue="q" * 250, worker="w" * 250)
    client = log_in("view")
    cells = re.findall(r'<td class="field-.*?</td>', page(client, LIST), re.DOTALL)
    for letter in "teqw":
        assert f"{letter * 80}…" in "".join(cells)
        assert letter * 250 not in "".join(cells)
        assert letter * 250 in page(client, PAGES["detail"].format(row.pk))


def test_list__the_newest_comes_first(failed: Make, log_in: LogIn) -> None:
    for age in (2, 1, 3):
        failed(reason=f"age-{age}", failed_at=timezone.now() - timedelta(hours=age))
    assert re.findall(r"age-\d", page(log_in("view"), LIST)) == ["age-1", "age-2", "age-3"]


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({"task": "b.two"}, {"two"}),
        ({"exception": "builtins.KeyError"}, {"one"}),
        ({"queue": "slow", "state": "all"}, {"three"}),
        ({"kind__exact": "lost"}, {"two"}),
        ({}, {"one", "two"}),
        ({"state": "open"}, {"one", "two"}),
        ({"state": "nonsense"}, {"one", "two"}),
        ({"state": "failed"}, {"one"}),
        ({"state": "sending"}, {"two"}),
        ({"state": "mended"}, {"three"}),
        ({"state": "all"}, {"one", "two", "three"}),
        ({"state": "open", "q": "reason-three"}, set()),
        ({"worker": "celery@two"}, {"two"}),
        ({"age": "hour"}, {"one"}),
        ({"age": "day"}, {"one", "two"}),
        ({"age": "nonsense"}, {"one", "two"}),
        ({"task": "b.two\0"}, set()),
        ({"task": "never.seen"}, set()),
        ({"q": "b.two"}, {"two"}),
        ({"q": "reason-three"}, {"three"}),
        ({"q": "odd id"}, {"one"}),
        ({"q": "0b2f7a4e-3c1d-4e5f-8a9b-000000000002"}, {"two", "three"}),
        ({"q": "0b2f7a4e-3c1d-4e5f-8a9b-00000000000f"}, set()),
        ({"q": "0b2f"}, {"two"}),
        ({"q": "0b2"}, set()),
        ({"q": "odd i"}, {"one"}),
        ({"q": "#999999999"}, set()),
    ],
)
def test_list__is_filtered_and_searched(failed: Make, log_in: LogIn, query: dict[str, str], seen: set[str]) -> None:
    now, two = timezone.now(), "0b2f7a4e-3c1d-4e5f-8a9b-000000000002"
    failed(task="a.one", task_id="odd id", exception="builtins.KeyError", reason="reason-one", failed_at=now)
    failed(task="b.two", task_id=two, kind="lost", reason="reason-two", worker="celery@two", state="sending",
           failed_at=now - timedelta(hours=2))  # fmt: skip
    failed(task="c.three", retry_of=two, queue="slow", state="mended", reason="reason-three",
           failed_at=now - timedelta(days=2))  # fmt: skip
    rows = re.findall("reason-(one|two|three)</bdi>", page(log_in("view"), LIST, **query))
    assert set(rows) == seen
    assert len(rows) == len(seen)


def test_list__a_row_is_found_by_its_number(failed: Make, log_in: LogIn) -> None:
    rows, client = [failed(reason=f"reason-{each}") for each in ("one", "two")], log_in("view")
    assert re.findall("reason-(one|two)</bdi>", page(client, LIST, q=f" #{rows[1].pk}")) == ["two"]


def test_list__its_search_has_names(failed: Make, log_in: LogIn) -> None:
    """A picture is no label. The form is named as Django does it from 6.1 on."""
    failed()
    html = page(log_in("view"), LIST)
    (named_by,) = re.findall(r'<form id="changelist-search"[^>]* aria-labelledby="(.*?)"', html)
    assert re.findall(f'<h2 id="{named_by}" class="visually-hidden">(.*?)</h2>', html) == ["Search failed tasks"]
    assert re.findall(r'<label for="searchbar">.*<span class="visually-hidden">(.*?)</span>', html) == ["Search"]


def test_list__names_the_row_and_the_beginning_of_its_id(failed: Make, log_in: LogIn) -> None:
    row = failed(task_id="0b2f7a4e-3c1d")
    assert f'<span class="tt-second">#{row.pk} 0b2f7a4e</span>' in page(log_in("view"), LIST)
    assert f"<h1>Failed task #{row.pk}</h1>" in page(log_in("view"), f"{LIST}{row.pk}/change/")


def test_list__the_state_that_is_chosen_is_marked(failed: Make, log_in: LogIn) -> None:
    client = log_in("view")
    for query, chosen in (({}, "Open"), ({"q": "x"}, "All"), ({"state": "sent"}, "sent again")):
        found = re.search(r'<li class="selected">\s*<a href="\?[^"]*state=[^"]*">([^<:]+)', page(client, LIST, **query))
        assert found is not None
        assert found[1].strip() == chosen


def test_edited__is_said_in_the_list_and_on_the_page(failed: Make, log_in: LogIn) -> None:
    """The words are of the retry: an edited message that was not sent is none."""
    row, client, words = (
        failed(state="sent", new_id="x", sent_by="ann", failures=2),
        log_in("view"),
        "with other arguments",
    )
    kept, place = Kept.read(row.message, row.body), f"{LIST}{row.pk}/change/"
    odd = dataclasses.replace(kept, headers={"original": {"message": "{}", "body": "}}"}}, content_encoding="}}")
    for each, is_said in ((kept, False), (odd, False), (dataclasses.replace(kept, original=kept), True)):
        FailedTask.objects.update(message=each.text())
        assert (f"{words}, 2 earlier failures" in page(client, LIST, state="all")) is is_said
        assert (f"{words}</div>" in page(client, place)) is is_said
    FailedTask.objects.update(new_id="", state="failed")
    assert words not in page(client, LIST) + page(client, place)


@pytest.mark.parametrize(
    "lookup",
    [
        "message__contains",
        "body__contains",
        "arguments__startswith",
        "traceback__regex",
        "message",
        "state__regex",
        "worker__startswith",
        "id",
    ],
)
def test_list__no_filter_of_the_url_reads_what_is_masked(failed: Make, log_in: LogIn, lookup: str) -> None:
    """The number of rows would say whether the value is in the text."""
    failed(arguments="{}", headers={"argsrepr": "('4111 secret',)"})
    client = log_in("view")
    for guess in ("secret", "nonsense"):
        assert client.get(LIST, {lookup: guess}).status_code == 400


def test_list__of_a_site_that_has_not_migrated(log_in: LogIn) -> None:
    client = log_in("view")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE tasktools_failedtask")
    answer = client.get(LIST)
    assert answer["Location"] == "/admin/"
    (told,) = get_messages(answer.wsgi_request)
    assert str(told).startswith("The table of failed tasks is not in the database")
    assert "manage.py migrate" in str(told)


def test_filters__offer_a_limited_number_of_values(failed: Make, log_in: LogIn) -> None:
    for number in range(70):
        failed(task=f"t{number:03}" + "x" * 200)
    text = page(log_in("view"), LIST, task="t069" + "x" * 200)
    offered = set(re.findall(r'href="\?task=(t\d+)', text))
    assert len(offered) == 51
    assert "t069" in offered  # the one that is chosen
    assert f"t000{'x' * 56}…" in text


def test_list__asks_the_same_number_of_questions_for_many_rows(failed: Make, log_in: LogIn) -> None:
    client, first = log_in("view", "retry", "delete"), failed()
    with CaptureQueriesContext(connection) as few:
        page(client, LIST)
    copies = [FailedTask(**{**_values(first), "task_id": str(number)}) for number in range(10_000)]
    FailedTask.objects.bulk_create(copies, batch_size=500)
    with CaptureQueriesContext(connection) as many:
        text = page(client, LIST)
    assert len(many) == len(few)
    assert "10001" in text.replace(",", "").replace("\xa0", "")
    assert text.count('class="action-select"') == 50
    # What is long is not read for the list.
    assert not [each["sql"] for each in many if '"traceback"' in each["sql"] or '"body"' in each["sql"]]


def _values(row: FailedTask) -> dict[str, Any]:
    return {each.attname: getattr(row, each.attname) for each in row._meta.concrete_fields if not each.unique}


def test_detail__shows_all_of_it(failed: Make, log_in: LogIn) -> None:
    arguments = json.dumps({"args": [1, "zwölf"], "kwargs": {"deep": {"er": [True, None]}}})
    row = failed(arguments=arguments, headers={"x_shop": "berlin", "stamped_headers": ["a"]}, retries=3, failures=2)
    text = page(log_in("view"), PAGES["detail"].format(row.pk))
    assert "&quot;zwölf&quot;\n" in text
    assert "&quot;er&quot;: [\n" in text
    assert "ValueError: no such thing\n</pre>" in text
    assert "&quot;x_shop&quot;: &quot;berlin&quot;" in text
    assert "&quot;routing_key&quot;: &quot;failed-tests&quot;" in text
    assert "celery@here" in text
    assert re.search(r"<details[^>]*>\s*<summary><h2[^>]*>Message", text)
    assert re.search(r'<pre tabindex="0"', text)


def test_detail__shows_no_arguments_that_a_hook_may_have_masked(failed: Make, log_in: LogIn) -> None:
    row = failed(
        arguments="", headers={"argsrepr": "('secret-1',)", "kwargsrepr": "{'p': 'secret-2'}"}, body=b"secret-3"
    )
    client = log_in("view")
    assert "secret-" not in page(client, PAGES["detail"].format(row.pk))
    assert "secret-" not in page(client, f"{LIST}{row.pk}/text/message/")


def test_detail__links_a_task_and_its_retries(failed: Make, log_in: LogIn) -> None:
    first = failed(new_id="second", state="sent", sent_by="ann", sent_again_at=timezone.now())
    second = failed(task_id="second", retry_of=first.task_id, failures=1)
    client = log_in("view")
    text = page(client, PAGES["detail"].format(first.pk))
    assert f'<a href="{LIST}{second.pk}/change/"><bdi>second</bdi></a>' in text
    assert "by <bdi>ann</bdi> as" in text
    back = page(client, PAGES["detail"].format(second.pk))
    assert f'<a href="{LIST}{first.pk}/change/"><bdi>{first.task_id}</bdi></a>' in back


def test_detail__a_retry_that_has_not_failed_has_no_link(failed: Make, log_in: LogIn) -> None:
    row = failed(new_id="second", state="mended", mended_at=timezone.now())
    text = page(log_in("view"), PAGES["detail"].format(row.pk))
    assert "as <bdi>second</bdi>" in text
    assert "Mended at" in text


def test_detail__of_a_row_that_is_gone_leads_to_the_index(log_in: LogIn) -> None:
    for name in ("detail", "history"):
        assert log_in("view").get(PAGES[name].format(99)).status_code == 302
    assert log_in("view").get(PAGES["text"].format(99)).status_code == 404


def test_detail__of_a_message_that_cannot_be_read(failed: Make, log_in: LogIn) -> None:
    row = failed(message="{not json", arguments="[" * 100_000, kind="undecodable", task="", exception="", body=None)
    assert "The message cannot be read." in page(log_in("view"), PAGES["detail"].format(row.pk))


@pytest.mark.parametrize("name", PAGES)
def test_page__runs_and_loads_nothing_foreign(failed: Make, log_in: LogIn, name: str) -> None:
    text = page(log_in("view", "retry", "delete"), PAGES[name].format(failed().pk))
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(?!\s*</script>)", text.replace("application/json", "")) in (
        [],
        None,
    )
    assert not re.search(r"\son\w+=|javascript:|style=\"", text)
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert not re.search(r"<style", text)


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202egnp.exe\u2066\x1b[31mred\x9b0m{{ 7|add:7 }}"


def test_hostile_texts__are_shown_as_what_they_are(failed: Make, log_in: LogIn) -> None:
    arguments = json.dumps({"args": [HOSTILE], "kwargs": {HOSTILE: 1}}, ensure_ascii=False)
    names = dict.fromkeys(("task", "task_id", "exception", "queue", "worker", "new_id", "retry_of", "sent_by"), HOSTILE)
    row = failed(**names, reason=HOSTILE, traceback=HOSTILE, arguments=arguments, headers={HOSTILE: HOSTILE})
    client = log_in("view", "retry", "delete")
    texts_of_all = [page(client, url.format(row.pk)) for name, url in PAGES.items() if name != "text"]
    texts_of_all += [page(client, f"{LIST}{row.pk}/{verb}/") for verb in ("send-again", "forget")]
    for text in texts_of_all:
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert not set(text) & set("\u202e\u2066\x1b\x9b")
        assert "\\u202egnp.exe" in text
        assert "{{ 7|add:7 }}" in text


@pytest.mark.parametrize("name", texts.NAMES)
def test_text__is_cut_on_the_page_and_whole_behind_a_link(failed: Make, log_in: LogIn, name: str) -> None:
    long = {"x" * 10: "y" * 3_000_000}
    row = failed(reason="r" * 3_000_000, traceback="t" * 3_000_000, arguments=json.dumps(long), headers=long)
    client = log_in("view")
    text = page(client, PAGES["detail"].format(row.pk))
    url = f"{LIST}{row.pk}/text/{name}/"
    assert f'href="{url}"' in text
    assert len(text) < 200_000
    answer = client.get(url)
    assert len(answer.content) >= 3_000_000
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")


def test_text__of_another_name_is_not_found(failed: Make, log_in: LogIn) -> None:
    assert log_in("view").get(f"{LIST}{failed().pk}/text/body/").status_code == 404
