"""A few examples of each target of tests/fuzz.py, and what it has found."""

from __future__ import annotations

import pytest

from tasktools.exceptions import ArgumentError, UsageError
from tasktools.management.site_parts import address
from tasktools.management.stop_options import limits_from
from tasktools.worker.admission import Limits
from tests.fuzz import TARGETS, run


@pytest.mark.parametrize("name", TARGETS)
def test_target__refuses_with_a_sentence_or_takes_it(name: str) -> None:
    run(TARGETS[name], 60, derandomize=True)


@pytest.mark.parametrize("word", ["9" * 5000, "0", "-1", "٣", "1_000", "1e3", ""])
def test_max_tasks__is_a_number_that_somebody_can_mean(word: str) -> None:
    with pytest.raises(ArgumentError, match="is no number of tasks"):
        limits_from({"max_tasks": word, "max_time": None, "drain": False})


@pytest.mark.parametrize("before", ["", "127.0.0.1:"])
def test_port__of_five_thousand_digits(before: str) -> None:
    with pytest.raises(UsageError, match='9999…" is no port'):
        address(before + "9" * 5000, "runserver")


def test_max_tasks__counts() -> None:
    assert limits_from({"max_tasks": "050", "max_time": "5m", "drain": False}) == Limits(tasks=50, seconds=300.0)
