from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery.schedules import crontab
from django.core.checks import Error, run_checks

from tasktools import checks
from tests.checks.conftest import checked


@pytest.mark.parametrize("schedule", [None, "10", "0 7 * * *", True])
def test_E012__fires_for_a_schedule_that_beat_cannot_read(shop: Any, schedule: Any) -> None:
    assert checked(shop, {"task": "shop.reckon", "schedule": schedule, "args": [1]}) == [
        Error(
            f'The beat schedule\'s entry "nightly" cannot run: its schedule is {schedule!r}, which is no schedule.',
            hint="give seconds, a timedelta, or a schedule of celery.schedules such as crontab(hour=7)",
            id="tasktools.E012",
        )
    ]


def test_E012__fires_for_an_entry_that_is_no_dictionary(shop: Any) -> None:
    assert checked(shop, ("shop.reckon", 10)) == [
        Error(
            'The beat schedule\'s entry "nightly" cannot run: it is no dictionary.',
            hint='write {"task": ..., "schedule": ...}',
            id="tasktools.E012",
        )
    ]


def test_E012__fires_for_a_schedule_that_is_no_dictionary(shop: Any) -> None:
    shop.conf.beat_schedule = [{"task": "shop.reckon", "schedule": 10, "args": [1]}]
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.E012"]


@pytest.mark.parametrize("schedule", [10, 0.5, timedelta(minutes=1), crontab(hour=7)], ids=repr)
def test_E012__is_silent_for_one_that_it_reads(shop: Any, schedule: Any) -> None:
    assert checked(shop, {"task": "shop.reckon", "schedule": schedule, "args": [1]}) == []


def test_E012__is_silent_without_a_schedule(shop: Any) -> None:
    shop.conf.beat_schedule = {}
    assert run_checks(tags=[checks.TAG]) == []
