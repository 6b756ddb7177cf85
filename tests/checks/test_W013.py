from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.checks import Warning as CheckWarning

from tasktools.checks.schedule import unsilenced
from tests.checks.conftest import checked

ENTRY = {"task": "shop.reckon", "schedule": timedelta(minutes=1), "args": [1]}


def test_W013__fires_for_an_option_that_nobody_reads(shop: Any) -> None:
    assert checked(shop, {**ENTRY, "options": {"expire": 60}}) == [
        CheckWarning(
            'The beat schedule\'s entry "nightly" is sent without what is meant: nobody reads its option "expire".',
            hint="did you mean expires?",
            id="tasktools.W013",
        )
    ]
    assert unsilenced(shop, "celery.beat:Scheduler") == []


def test_W013__is_silent_for_what_may_be_the_project_s_own(shop: Any) -> None:
    assert checked(shop, {**ENTRY, "options": {"expires": 60, "tenant": "a"}}) == []


def test_W013__fires_for_a_priority_that_kombu_leaves_out(shop: Any) -> None:
    (message,) = checked(shop, {**ENTRY, "options": {"priority": "high"}})
    assert (message.id, message.hint) == ("tasktools.W013", "priority takes a whole number")
