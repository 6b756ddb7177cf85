"""What is said of lines in doubt: whole sentences, and the way to go on."""

from __future__ import annotations

import pytest

from tasktools.brokers.reach import HINT
from tasktools.exceptions import InDoubt, Unreachable
from tasktools.management.bulk_report import doubt_text

BROKE = "The broker broke off: gone."
GO_ON = "To go on: the same command with --start 4"

TOLD = [
    (
        InDoubt(BROKE, hint=HINT),
        (1, 3),
        False,
        f"{BROKE} Lines 1 to 3 are in doubt: whether they were sent cannot be known.",
        f"{HINT}. {GO_ON}",
    ),
    (
        InDoubt(BROKE, hint=HINT),
        (1, 3),
        True,
        f"{BROKE} Lines 1 to 3 were sent as a whole or not at all.",
        f"{HINT}. The same command again sends just what is missing.",
    ),
    (
        InDoubt(BROKE, hint=HINT, in_part=True),
        (1, 3),
        True,
        f"{BROKE} It is made of the lines 1 to 3.",
        f"{HINT}. {GO_ON}",
    ),
    (
        InDoubt(BROKE, hint=HINT),
        None,
        True,
        f"{BROKE} All lines are done with; whether the run is marked as complete cannot be known.",
        f"{HINT}. {GO_ON}",
    ),
    (Unreachable(BROKE, hint=HINT), None, False, BROKE, f"{HINT}. {GO_ON}"),
]


@pytest.mark.parametrize(("error", "lines", "whole", "sentence", "hint"), TOLD)
def test_told_doubt(error: Unreachable, lines: tuple[int, int] | None, whole: bool, sentence: str, hint: str) -> None:
    told = doubt_text(error, lines, as_a_whole=whole, go_on=GO_ON)
    assert (told.sentence, told.hint) == (sentence, hint)
    assert type(told) is type(error)
