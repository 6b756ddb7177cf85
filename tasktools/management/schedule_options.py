"""What was typed for showschedule -> how the schedule is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone, tzinfo
from typing import TYPE_CHECKING, Any

from tasktools.arguments.durations import parse_time
from tasktools.arguments.names import shown
from tasktools.arguments.numbers import whole_number
from tasktools.beat.outlook import View
from tasktools.beat.records import YEARS
from tasktools.exceptions import ArgumentError
from tasktools.startup import require_timezone

if TYPE_CHECKING:
    from celery import Celery

#: How many times of an entry are shown at the most.
MOST = 1000


def view_of(app: Celery, options: Mapping[str, Any]) -> View:
    """Return the view that --next, --at and --overdue ask for. Raises ArgumentError."""
    require_timezone(app)
    if options["overdue"] and options["at"] is not None:
        raise ArgumentError("--overdue is about now, and --at about another time.", hint="leave one of them out")
    at = None if options["at"] is None else _at(options["at"], app.timezone)
    return View(now=datetime.now(timezone.utc), at=at, count=_count(options["count"]))


def _at(typed: Any, zone: tzinfo) -> datetime:
    at = parse_time(typed, zone).astimezone(timezone.utc)
    if at.year in YEARS:
        return at
    sentence = f'"{shown(str(typed))}" is no time with which a schedule can calculate.'
    raise ArgumentError(sentence, hint=f"give one of the years {YEARS[0]} to {YEARS[-1]}")


def _count(typed: Any) -> int:
    number = 1 if typed is None else whole_number(str(typed), most=MOST)
    if number is not None:
        return number
    raise ArgumentError(
        f'--next "{shown(str(typed))}" is no number from 1 to {MOST}.', hint="give how many times to show"
    )
