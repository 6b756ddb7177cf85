"""A run that is late: whether it is still wanted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from celery.schedules import schedule as Every


def expired_at(entry: Any, now: datetime) -> datetime | None:
    """Return the time to note as the last run of a due entry that is not sent, because its `expires` has passed; else None.

    What counts is the last of the missed times, and `expires` as a number of seconds or a timedelta. `now` is that of the
    entry's schedule.
    """
    expires = _seconds(entry.options.get("expires"))
    if expires is None or expires <= 0:
        return None
    try:
        late = -entry.schedule.remaining_estimate(entry.last_run_at).total_seconds()
        if late <= expires:
            return None
        every = _period(entry)
        if every:
            return now - timedelta(seconds=late % every) if late % every > expires else None
        return None if entry.schedule.is_due(now - timedelta(seconds=expires))[0] else now
    except Exception:  # noqa: BLE001 - a schedule class of the project; the run is as wanted as any
        return None


def _seconds(expires: object) -> float | None:
    if isinstance(expires, timedelta):
        return expires.total_seconds()
    return float(expires) if isinstance(expires, (int, float)) and not isinstance(expires, bool) else None


def _period(entry: Any) -> float:
    """Return the seconds of an interval; 0 for another kind of schedule."""
    return float(entry.schedule.run_every.total_seconds()) if type(entry.schedule) in (Every,) else 0.0
