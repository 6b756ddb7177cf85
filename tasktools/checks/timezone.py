"""E003: the time zone of the Celery app exists."""

from __future__ import annotations

from django.core.checks import CheckMessage, Error

from tasktools import startup
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ConfigurationError

#: The ids that this module can give.
IDS = ("tasktools.E003",)


def check(found: Found) -> list[CheckMessage]:
    """Check CELERY_TIMEZONE. Celery reads it when a call has a time, and at the first tick of beat."""
    try:
        startup.require_timezone(found.app)
    except ConfigurationError as error:
        return [Error(error.sentence, hint=error.hint, id="tasktools.E003")]
    return []
