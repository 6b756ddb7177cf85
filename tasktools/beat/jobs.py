"""The entries of the schedule that run the jobs of django-extensions.

The usual times are those of cron's words in the crontab of its documentation (@hourly, @daily, @weekly, @monthly, @yearly).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from celery.schedules import crontab

from tasktools.project import Job

if TYPE_CHECKING:
    from celery import Celery

_DAY = 86400

#: The fields of the crontab of each group, and after how long a run that no worker has begun is dropped: the next one is due.
_USUAL: dict[str, tuple[dict[str, Any], float | None]] = {
    "minutely": ({}, 60),
    "quarter_hourly": ({"minute": "*/15"}, 900),
    "hourly": ({"minute": 0}, 3600),
    "daily": ({"minute": 0, "hour": 0}, _DAY),
    "weekly": ({"minute": 0, "hour": 0, "day_of_week": 0}, 7 * _DAY),
    "monthly": ({"minute": 0, "hour": 0, "day_of_month": 1}, None),
    "yearly": ({"minute": 0, "hour": 0, "day_of_month": 1, "month_of_year": 1}, None),
}


def plan(app: Celery, jobs: Iterable[Job], times: Mapping[str, Any]) -> dict[str, Any]:
    """Add an entry for each job to the schedule of `app`, and return those that were added, by name.

    `times` are schedules by the name of a job or of a group; None for no entry. An entry of the same name that the schedule has
    already stays as it is.
    """
    written: Any = app.conf.beat_schedule or {}
    if not isinstance(written, Mapping):  # it is refused as a whole
        return {}
    made = {job.name: entry for job in jobs if job.name not in written and (entry := _entry(job, times)) is not None}
    app.conf.beat_schedule = {**written, **made}
    return made


def _entry(job: Job, times: Mapping[str, Any]) -> dict[str, Any] | None:
    chosen = [times[each] for each in (job.name, job.when) if each in times]
    if chosen:
        return None if chosen[0] is None else {"task": job.name, "schedule": chosen[0]}
    if not job.when:
        return None
    fields, expires = _USUAL[job.when]
    options = {"options": {"expires": expires}} if expires else {}
    return {"task": job.name, "schedule": crontab(**fields), **options}
