"""A crontab in the hour that comes twice when the clocks go back.

Celery reads the next time of a crontab in the first of the two hours. An entry that has run or begun in the second one is
then due at once, again and again, until that hour is over: thousands of messages.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from celery.schedules import crontab, schedstate


def ask(entry: Any, is_due: Callable[[Any], Any]) -> Any:
    """Return what `is_due` returns of a schedule entry; a crontab that has run in the second hour goes on in that hour."""
    answer = is_due(entry)
    if isinstance(entry.schedule, crontab) and answer[0] and (wait := _seconds_left(entry)) > 0:
        return schedstate(False, wait)
    return answer


def _seconds_left(entry: Any) -> float:
    """Return the seconds to the next time in the second hour; 0 or less if the last run is not in it, or the time is over."""
    last, delta, now = entry.schedule.remaining_delta(entry.last_run_at)
    if not last.fold or not _comes_twice(last):
        return 0.0
    wanted = (last.replace(tzinfo=None, fold=0) + delta).replace(tzinfo=now.tzinfo, fold=1)
    return float((wanted.astimezone(timezone.utc) - now.astimezone(timezone.utc)).total_seconds())


def _comes_twice(at: datetime) -> bool:
    """Whether the hands of a clock show this time twice. In an hour that is skipped, the second reading is the earlier one."""
    first, second = (at.replace(fold=fold).astimezone(timezone.utc) for fold in (0, 1))
    return first < second
