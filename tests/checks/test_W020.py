from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks


def test_W020__fires_for_a_serializer_that_is_not_accepted(shop: Any) -> None:
    shop.conf.task_serializer = "pickle"
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            'No worker of this project reads its tasks: the serializer is "pickle", and json is accepted.',
            hint='CELERY_ACCEPT_CONTENT = ["json", "pickle"], or choose a serializer that is accepted',
            id="tasktools.W020",
        )
    ]


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_W020__is_silent_for_one_that_is(shop: Any, serializer: str) -> None:
    shop.conf.task_serializer, shop.conf.accept_content = serializer, ["json", "pickle"]
    assert run_checks(tags=[checks.TAG]) == []
