from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc, ScheduleEntry

from tasktools.beat.calls import call_of


def entry(app: Celery, **fields: Any) -> ScheduleEntry:
    return ScheduleEntry(name="e", task="shop.add", schedule=60, app=app, **fields)


def test_call__is_what_the_entry_says_with_the_header_of_beat(shop: Celery) -> None:
    headers = {"tenant": 7}
    options = {"queue": "slow", "headers": headers}
    call = call_of(entry(shop, args=[1, "x"], kwargs={"y": 2}, options=options))
    assert (call.task, call.args, call.kwargs) == ("shop.add", (1, "x"), {"y": 2})
    assert call.options == {"queue": "slow", "headers": {"tenant": 7, "celery_beat_task": True}}
    assert headers == {"tenant": 7}
    assert options == {"queue": "slow", "headers": headers}


@pytest.mark.parametrize("nothing", [{}, {"args": None, "kwargs": None, "options": None}], ids=["left out", "None"])
def test_call__of_an_entry_without_arguments(shop: Celery, nothing: dict[str, Any]) -> None:
    call = call_of(entry(shop, **nothing))
    assert (call.args, call.kwargs, call.options) == ((), {}, {"headers": {"celery_beat_task": True}})


def test_lazy_arguments__are_made_each_time(shop: Celery) -> None:
    values = iter(range(4))
    made = entry(
        shop, args=(BeatLazyFunc(next, values), next), kwargs={"lazy": BeatLazyFunc(next, values), "plain": next}
    )
    assert (call_of(made).args, call_of(made).kwargs) == ((0, next), {"lazy": 3, "plain": next})
