from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks


def test_W021__fires_for_a_serializer_that_is_not_accepted(shop: Any) -> None:
    shop.conf.result_serializer = "pickle"
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            'Nobody reads the results: the serializer is "pickle", and json is accepted.',
            hint='CELERY_RESULT_ACCEPT_CONTENT = ["json", "pickle"], or choose a serializer that is accepted',
            id="tasktools.W021",
        )
    ]


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_W021__is_silent_for_one_that_is(shop: Any, serializer: str) -> None:
    shop.conf.result_serializer, shop.conf.result_accept_content = serializer, ["json", "pickle"]
    assert run_checks(tags=[checks.TAG]) == []
