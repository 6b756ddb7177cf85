from __future__ import annotations

import pytest

from tasktools.control.numbers import MOST, number, whole


@pytest.mark.parametrize("value", [0, 0.25, 1, MOST])
def test_number__one_that_a_worker_may_have(value: float) -> None:
    assert number(value) == value


@pytest.mark.parametrize("value", [-1, -0.25, 2 * MOST, "1", None, False])
def test_number__any_other(value: object) -> None:
    assert number(value) is None


def test_whole__no_part_of_one() -> None:
    assert (whole(0), whole(7), whole(1.5), whole(7.0), whole(True)) == (0, 7, None, None, None)
