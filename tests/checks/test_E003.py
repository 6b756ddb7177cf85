from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest
from django.core.checks import Error, run_checks

from tasktools import checks


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("America/New_Yrok", "did you mean America/New_York?"),
        ("nowhere at all", "set it to a name such as UTC or Europe/Berlin"),
        ("../etc/passwd", "set it to a name such as UTC or Europe/Berlin"),
    ],
)
def test_E003__fires_for_a_time_zone_that_does_not_exist(shop: Any, name: str, hint: str) -> None:
    shop.conf.timezone = name
    (message,) = run_checks(tags=[checks.TAG])
    assert message.hint is not None
    assert message.hint.startswith(hint)
    sentence = f'CELERY_TIMEZONE is "{name}", and there is no such time zone.'
    assert message == Error(sentence, hint=message.hint, id="tasktools.E003")


@pytest.mark.parametrize("zone", [None, "", "UTC", "Asia/Kolkata", timezone(timedelta(hours=1))])
def test_E003__is_silent_about_one_that_does(shop: Any, zone: Any) -> None:
    shop.conf.timezone = zone
    assert run_checks(tags=[checks.TAG]) == []
