from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks

NAME_A_FUNCTION = 'name a function, as in "shop.privacy.masked"'


def warnings() -> list[Any]:
    return [each for each in run_checks(tags=[checks.TAG]) if each.id == "tasktools.W049"]


@pytest.mark.parametrize(
    ("name", "value", "told", "hint"),
    [
        ("LIMIT", 0, 'TASKTOOLS_FAILED_LIMIT is "0", which is no number of rows.', "set it to 10000, or to None"),
        (
            "LIMIT",
            "all",
            "TASKTOOLS_FAILED_LIMIT is \"'all'\", which is no number of rows.",
            "set it to 10000, or to None",
        ),
        (
            "LIMIT",
            True,
            'TASKTOOLS_FAILED_LIMIT is "True", which is no number of rows.',
            "set it to 10000, or to None",
        ),
        (
            "AGE",
            "a month",
            'TASKTOOLS_FAILED_AGE: "a month" is no duration.',
            "write seconds, or 90s, 5m, 1h30m, 2d",
        ),
        (
            "AGE",
            0,
            'TASKTOOLS_FAILED_AGE is "0", which keeps nothing or for ever.',
            'set it to "30d", or to None',
        ),
        (
            "ARGUMENTS",
            "shop.nosuch",
            "TASKTOOLS_FAILED_ARGUMENTS is \"shop.nosuch\", which cannot be imported: No module named 'shop'.",
            NAME_A_FUNCTION,
        ),
        ("ARGUMENTS", 5, 'TASKTOOLS_FAILED_ARGUMENTS is "5", which is no function.', NAME_A_FUNCTION),
        (
            "ARGUMENTS",
            "tasktools.conf.NAMES",
            "TASKTOOLS_FAILED_ARGUMENTS is \"'tasktools.conf.NAMES'\", which is no function.",
            NAME_A_FUNCTION,
        ),
    ],
)
def test_W049__fires_for_a_value_that_no_worker_takes(
    settings: Any, name: str, value: Any, told: str, hint: str
) -> None:
    setattr(settings, f"TASKTOOLS_FAILED_{name}", value)
    assert warnings() == [CheckWarning(told, hint=hint, id="tasktools.W049")]


def test_W049__is_silent_without_settings() -> None:
    assert warnings() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIMIT", None),
        ("LIMIT", 5),
        ("AGE", None),
        ("AGE", "90d"),
        ("AGE", timedelta(days=2)),
        ("AGE", 3600),
        ("ARGUMENTS", None),
        ("ARGUMENTS", lambda task, args, kwargs: None),
        ("ARGUMENTS", "operator.add"),
    ],
)
def test_W049__is_silent_for_what_a_worker_takes(settings: Any, name: str, value: Any) -> None:
    setattr(settings, f"TASKTOOLS_FAILED_{name}", value)
    assert warnings() == []
