"""Words for spans and points of time -> timedelta and datetime. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from django.utils.dateparse import parse_datetime

from tasktools.arguments.names import shown
from tasktools.exceptions import ArgumentError

_UNITS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[wdhms])", re.ASCII)
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[wdhms]))+", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_duration(word: str | float | timedelta) -> timedelta:
    """Return the span that `word` names: `90`, `90s`, `5m`, `1h30m`, `2d`, `1.5h`; a bare number is seconds.

    Raises ArgumentError for anything else, a negative span included.
    """
    if isinstance(word, timedelta):
        if word >= timedelta():
            return word
        raise ArgumentError(f'"-{abs(word)}" is negative.', hint="write seconds, or 90s, 5m, 1h30m, 2d")
    word = str(word)
    try:
        if _NUMBER.fullmatch(word):
            return timedelta(seconds=float(word))
        if _WHOLE.fullmatch(word):
            return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(word)))
    except OverflowError:
        pass
    reason = "is negative" if word.startswith("-") else "is no duration"
    raise ArgumentError(f'"{shown(word)}" {reason}.', hint="write seconds, or 90s, 5m, 1h30m, 2d")


def parse_time(word: str | datetime, zone: tzinfo) -> datetime:
    """Return the aware datetime that `word` (ISO 8601) names; without an offset, it is a time in `zone`.

    Raises ArgumentError when it cannot be read, or has no equivalent in UTC: the calendar begins in year 1 and ends in 9999.
    """
    try:
        found = word if isinstance(word, datetime) else parse_datetime(word)
        if found is not None:
            found = found if found.tzinfo else found.replace(tzinfo=zone)
            found.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise ArgumentError(
            f'"{shown(str(word))}" is no time.', hint="write ISO 8601, as in 2030-01-31T18:00 or 2030-01-31T18:00+02:00"
        )
    return found
