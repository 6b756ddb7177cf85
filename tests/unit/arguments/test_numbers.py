from __future__ import annotations

import pytest

from tasktools.arguments.numbers import whole_number


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("1", 1),
        ("42", 42),
        ("007", 7),
        ("0" * 30 + "5", 5),
        ("9" * 17, 10**17 - 1),
        ("9" * 18, None),
        ("9" * 5000, None),
        ("0" * 5000, None),
        ("0", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("1_000", None),
        (" 1", None),
        ("\u0661", None),  # a digit, and none that everybody reads
        ("\u00b2", None),
    ],
)
def test_whole_number__is_one_of_plain_digits(typed: str, number: int | None) -> None:
    assert whole_number(typed) == number


@pytest.mark.parametrize(("typed", "number"), [("0", 0), ("255", 255), ("256", None), ("000", 0)])
def test_whole_number__within_bounds(typed: str, number: int | None) -> None:
    assert whole_number(typed, least=0, most=255) == number
