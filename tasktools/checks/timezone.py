"""E003: the time zone of the Celery app exists."""

from __future__ import annotations

from django.core.checks import CheckMessage, Error

from tasktools import startup
from tasktools.exceptions import ConfigurationError
from tasktools.project import current_project


def check() -> list[CheckMessage]:
    """Check CELERY_TIMEZONE. Celery reads it when a call has a time, and at the first tick of beat."""
    found = current_project().found
    if found is None:
        return []
    startup.read_settings(found)
    try:
        startup.require_timezone(found.app)
    except ConfigurationError as error:
        return [Error(error.sentence, hint=error.hint, id="tasktools.E003")]
    return []
