from __future__ import annotations

from typing import Any

import pytest

from tasktools.framework.checking import check


def found(options: Any) -> list[tuple[str, str | None, str | None]]:
    return [(each.msg, each.hint, each.id) for each in check("default", options)]


def test_E091__fires_for_an_option_that_there_is_not() -> None:
    assert found({"enqueue_on_comit": True}) == [
        (
            'TASKS["default"]["OPTIONS"] has "enqueue_on_comit", which is no option of CeleryBackend.',
            "did you mean enqueue_on_commit?",
            "tasktools.E091",
        )
    ]
    ((_, hint, _),) = found({"colour": "red"})
    assert hint == "the options are: enqueue_on_commit"


def test_E091__fires_for_what_is_no_dictionary() -> None:
    assert found(["enqueue_on_commit"]) == [
        (
            """TASKS["default"]["OPTIONS"] is ['enqueue_on_commit'], which is no dictionary.""",
            'TASKS["default"]["OPTIONS"] = {"enqueue_on_commit": True}',
            "tasktools.E091",
        )
    ]


@pytest.mark.parametrize("options", [{}, {"enqueue_on_commit": True}])
def test_E091__is_silent_for_options_that_there_are(options: Any) -> None:
    assert found(options) == []
