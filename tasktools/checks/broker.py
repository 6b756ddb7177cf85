"""W001: the ready-made app needs a broker when DEBUG is off, and an app needs one if another app of the project has one."""

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
    """Warn if no broker is configured; the commands that need one refuse to run without it."""
    found = current_project().found
    if found is None:
        return []
    startup.read_settings(found)
    if not found.ready_made:
        return _named_elsewhere(found)
    try:
        startup.require_broker(found)
    except ConfigurationError as error:
        # This is checked last, because it makes Celery create all its own tasks.
        return [CheckWarning(error.sentence, hint=error.hint, id="tasktools.W001")] if names(found.app) else []
    return []


def _named_elsewhere(found: celery_app.Found) -> list[CheckMessage]:
    """Warn of an app without a broker if another app names one: Celery then uses its default, not the private broker."""
    if private.configured(found.app.conf):
        return []
    other = startup.broker_elsewhere(found.app)
    sentence = f"The app {found.name} names no broker and goes to amqp://localhost; {other} names one."
    hint = "set CELERY_BROKER_URL, or choose that app with TASKTOOLS_APP"
    return [CheckWarning(sentence, hint=hint, id="tasktools.W001")] if other else []
