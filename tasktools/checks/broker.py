"""W001: the ready-made app has a broker when DEBUG is off, and an app has one where another of the project's has."""

from __future__ import annotations

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import startup
from tasktools.brokers import private
from tasktools.discovery import celery_app
from tasktools.exceptions import ConfigurationError
from tasktools.project import current_project
from tasktools.registry.registry import names


def check() -> list[CheckMessage]:
    """Warn of a broker that was not configured; the commands that need one refuse to run without."""
    found = current_project().found
    if found is None:
        return []
    startup.read_settings(found)
    if not found.ready_made:
        return _named_elsewhere(found)
    try:
        startup.require_broker(found)
    except ConfigurationError as error:
        # Asked last: it has Celery make all its own tasks.
        return [CheckWarning(error.sentence, hint=error.hint, id="tasktools.W001")] if names(found.app) else []
    return []


def _named_elsewhere(found: celery_app.Found) -> list[CheckMessage]:
    """Warn of an app without a broker beside another one that names it: Celery's default is used then, not the private one."""
    if private.configured(found.app.conf):
        return []
    other = startup.broker_elsewhere(found.app)
    sentence = f"The app {found.name} names no broker and goes to amqp://localhost; {other} names one."
    hint = "set CELERY_BROKER_URL, or choose that app with TASKTOOLS_APP"
    return [CheckWarning(sentence, hint=hint, id="tasktools.W001")] if other else []
