"""Words for numbers -> int and float. Pure."""

from __future__ import annotations

import math

from tasktools.arguments.names import shown
from tasktools.exceptions import ArgumentError

#: Numbers with more digits are refused: no count is so high, and Python itself reads at most 4,300 digits.
_MOST_DIGITS = 17


def whole_number(typed: str, *, least: int = 1, most: int | None = None) -> int | None:
    """Return the number that `typed` writes in digits from 0 to 9; None if it is not such a number or is out of bounds."""
    digits = typed.lstrip("0") or typed[-1:]
    if not (typed.isascii() and typed.isdigit() and len(digits) <= _MOST_DIGITS):
        return None
    number = int(digits)
    return number if number >= least and (most is None or number <= most) else None


class TooLarge(ArgumentError):
    """A number in JSON is so large that Python reads it as infinity."""

    def __init__(self, digits: str) -> None:
        hint = "write it as text, in quotes, or write Infinity if you mean that"
        super().__init__(f'The number "{shown(digits)}" is too large for a float.', hint=hint)


def finite(digits: str) -> float:
    """Return the number that `digits` writes.

    Raises TooLarge for one that a float cannot hold.
    """
    number = float(digits)
    if math.isinf(number):
        raise TooLarge(digits)
    return number
