"""E003, W047, W048: the time zone of the Celery app exists, and Django and django-celery-beat have the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from tasktools import conf, startup
from tasktools.celery_compat import DEFAULTS
from tasktools.discovery.celery_app import Found
from tasktools.discovery.setting_names import spelled
from tasktools.exceptions import ConfigurationError

#: The ids that this module can give.
IDS = ("tasktools.E003", "tasktools.W047", "tasktools.W048")

_LIBRARY, _AWARE = "django_celery_beat", "DJANGO_CELERY_BEAT_TZ_AWARE"


def check(found: Found) -> list[CheckMessage]:
    """Check CELERY_TIMEZONE. Celery reads it when a call has a time, and at the first tick of beat."""
    try:
        startup.require_timezone(found.app)
    except ConfigurationError as error:
        return [Error(error.sentence, hint=error.hint, id="tasktools.E003")]
    return _awareness(found.app)


def check_deploy(found: Found) -> list[CheckMessage]:
    """Warn of hours of the schedule that are not those of the site. Somebody may have meant it."""
    app: Any = found.app
    site = conf.time_zone()
    entries = _with_hours(app.conf.beat_schedule)
    if not entries or not site:
        return []
    try:
        startup.require_timezone(app)
    except ConfigurationError:  # E003 reports it
        return []
    theirs = _offsets(ZoneInfo(site))
    if not any(theirs) or theirs == _offsets(app.timezone):
        return []
    setting, zone = spelled(app, "timezone"), app.conf.timezone
    subject = f'{setting} is "{zone}"' if zone else f"{setting} is not set, which means {app.timezone}"
    more = f" and {len(entries) - 1} more" if len(entries) > 1 else ""
    sentence = f'{subject}, and TIME_ZONE is "{site}": the hours of the entry "{entries[0]}"{more} are those of {app.timezone}.'
    return [CheckWarning(sentence, hint=f"{setting} = TIME_ZONE, if the hours are not meant so", id="tasktools.W048")]


def _awareness(app: Any) -> list[CheckMessage]:
    """Warn if django-celery-beat saves times of a kind that this site does not have."""
    scheduler = str(app.conf.beat_scheduler)
    if not apps.is_installed(_LIBRARY) or not (
        scheduler == DEFAULTS.here()["beat_scheduler"] or scheduler == "django" or scheduler.startswith(_LIBRARY)
    ):
        return []  # the usual scheduler may be replaced on the command line of beat
    use_tz, aware = conf.uses_time_zones()
    if use_tz == aware:
        return []
    fails = "an entry with a start or an end raises TypeError"
    if aware:
        sentence = (
            f"USE_TZ is off, and {_AWARE} is on: SQLite and MySQL refuse what django-celery-beat saves, and {fails}."
        )
        return [CheckWarning(sentence, hint=f"{_AWARE} = False", id="tasktools.W047")]
    sentence = (
        f"USE_TZ is on, and {_AWARE} is off: the last run of an entry is saved in a wrong time zone, and {fails}."
    )
    return [CheckWarning(sentence, hint=f"remove {_AWARE}, or set it to True", id="tasktools.W047")]


def _with_hours(schedule: Any) -> list[str]:
    """Return the entries that run at some hours of the day, in the time zone of the app."""
    if not schedule or not isinstance(schedule, Mapping):
        return []
    from celery.schedules import crontab  # a site without a schedule does not need it

    found = {str(name): entry.get("schedule") for name, entry in schedule.items() if isinstance(entry, Mapping)}
    return [name for name, each in found.items() if type(each) is crontab and _has_hours(each)]


def _has_hours(schedule: Any) -> bool:
    """Whether a crontab does not run in each hour, and has no clock of its own."""
    return len(schedule.hour) < 24 and schedule.nowfun is None


def _offsets(zone: tzinfo) -> list[timedelta | None]:
    """Return how far a time zone is from UTC in winter and in summer."""
    year = datetime.now(timezone.utc).year
    return [datetime(year, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)]
