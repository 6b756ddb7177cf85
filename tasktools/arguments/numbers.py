"""Words for whole numbers -> int. Pure."""

from __future__ import annotations

#: Numbers with more digits are refused: no count is so high, and Python itself reads at most 4,300 digits.
_MOST_DIGITS = 17


def whole_number(typed: str, *, least: int = 1, most: int | None = None) -> int | None:
    """Return the number that `typed` writes in digits from 0 to 9; None if it is not such a number or is out of bounds."""
    digits = typed.lstrip("0") or typed[-1:]
    if not (typed.isascii() and typed.isdigit() and len(digits) <= _MOST_DIGITS):
        return None
    number = int(digits)
    return number if number >= least and (most is None or number <= most) else None
