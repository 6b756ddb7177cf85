from __future__ import annotations

from typing import Any

import pytest

from tasktools.framework.checking import check


@pytest.mark.parametrize("chosen", ["nope", 1.5, None, ["default"]])
def test_E092__fires_for_what_is_no_database(chosen: Any) -> None:
    (error,) = check("default", {"enqueue_on_commit": chosen})
    assert (error.msg, error.hint, error.id) == (
        f'TASKS["default"]["OPTIONS"]["enqueue_on_commit"] is {chosen!r}, which is neither a bool nor a database of DATABASES.',
        "set it to True, or to the alias of a database: default",
        "tasktools.E092",
    )


@pytest.mark.parametrize("chosen", [True, False, "default"])
def test_E092__is_silent_for_those_that_there_are(chosen: Any) -> None:
    assert list(check("default", {"enqueue_on_commit": chosen})) == []
