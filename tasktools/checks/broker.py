"""W001: the ready-made app has a broker when DEBUG is off."""

from __future__ import annotations

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import startup
from tasktools.exceptions import ConfigurationError
from tasktools.registry import names


def check() -> list[CheckMessage]:
    """Warn of a broker that was not configured; the commands that need one refuse to run without."""
    found = startup.found
    if found is None:
        return []
    startup.read_settings(found)
    try:
        startup.require_broker(found)
    except ConfigurationError as error:
        # Asked last: it has Celery make all its own tasks.
        return [CheckWarning(error.sentence, hint=error.hint, id="tasktools.W001")] if names(found.app) else []
    return []
