"""Words for whole numbers -> int. Pure."""

from __future__ import annotations

#: Numbers of more digits are refused: nothing is counted so high, and Python itself reads 4,300 of them at most.
_MOST_DIGITS = 17


def whole_number(typed: str, *, least: int = 1, most: int | None = None) -> int | None:
    """Return the number that `typed` writes in digits from 0 to 9; None if it is no such number or out of bounds."""
    digits = typed.lstrip("0") or typed[-1:]
    if not (typed.isascii() and typed.isdigit() and len(digits) <= _MOST_DIGITS):
        return None
    number = int(digits)
    return number if number >= least and (most is None or number <= most) else None
