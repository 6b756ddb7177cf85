from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import Error

from tests.checks.conftest import checked

ENTRY = {"task": "shop.reckon", "schedule": timedelta(minutes=1), "args": [1]}


def test_E013__fires_for_an_option_that_beat_cannot_send(shop: Any) -> None:
    assert checked(shop, {**ENTRY, "options": {"expires": "soon"}}) == [
        Error(
            'The beat schedule\'s entry "nightly" cannot run: its option "expires" is \'soon\', '
            "which is not a number of seconds or a time.",
            hint="expires takes a number of seconds or a time",
            id="tasktools.E013",
        )
    ]


@pytest.mark.parametrize("options", [{"expires": 60, "queue": "slow", "priority": "5"}, {}, None])
def test_E013__is_silent_for_options_that_it_sends(shop: Any, options: Any) -> None:
    assert checked(shop, {**ENTRY, "options": options}) == []
