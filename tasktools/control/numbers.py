"""What other processes have sent as a number -> a number that can be reckoned with. JSON has NaN, Infinity and any length."""

from __future__ import annotations

from datetime import datetime, timezone

#: More than any time in seconds, any size in bytes and any count.
MOST = 1e15


def number(value: object) -> float | None:
    """Return the number if it is one from 0 to MOST."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= MOST else None  # type: ignore[return-value, operator]


def whole(value: object) -> int | None:
    """Do the same for a whole number."""
    return value if isinstance(value, int) and number(value) is not None else None


def moment(seconds: float | None) -> datetime | None:
    """Return the time so many seconds after the beginning of 1970; None if there is no such time."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
