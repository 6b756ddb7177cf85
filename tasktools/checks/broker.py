"""W001: an app needs a broker if DEBUG is off, if another app of the project has one, or if CELERY_BROKER_URL is misspelt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import conf, startup
from tasktools.brokers import broker_of, private
from tasktools.checks import old_names
from tasktools.discovery import celery_app
from tasktools.discovery.celery_app import Found
from tasktools.discovery.setting_names import is_given
from tasktools.exceptions import ConfigurationError
from tasktools.registry.registry import names

if TYPE_CHECKING:
    from celery import Celery

#: The ids that this module can give.
IDS = ("tasktools.W001",)


def check(found: Found) -> list[CheckMessage]:
    """Warn if no broker is configured; the commands that need one refuse to run without it. E040 reports BROKER_URL."""
    if conf.has_old_broker() and old_names.applies(found.app) and not is_given(found.app, "broker_url"):
        return []
    if found.ready_made:
        try:
            startup.require_broker(found)
        except ConfigurationError as error:
            # This is checked last, because it makes Celery create all its own tasks.
            return [_warning(error)] if names(found.app) else []
    return _named_elsewhere(found) or _misspelt(found.app)


def unset(app: Celery) -> ConfigurationError:
    """Return what to say of an app whose broker nobody has named, and which uses some broker all the same."""
    sentence, slip = f"CELERY_BROKER_URL is not set: Celery uses {broker_of(app).uri()}.", conf.broker_slip()
    if slip:
        return ConfigurationError(f"{sentence} {slip} is no setting.", hint=private.DID_YOU_MEAN)
    return ConfigurationError(sentence, hint="set CELERY_BROKER_URL")


def _misspelt(app: Celery) -> list[CheckMessage]:
    is_unset = private.is_private(app.conf) or not private.configured(app.conf)
    return [_warning(unset(app))] if is_unset and not app.conf.task_always_eager and conf.broker_slip() else []


def _warning(error: ConfigurationError) -> CheckMessage:
    return CheckWarning(error.sentence, hint=error.hint, id="tasktools.W001")


def _named_elsewhere(found: celery_app.Found) -> list[CheckMessage]:
    """Warn of an app without a broker if another app names one: Celery then uses its default, not the private broker."""
    if found.ready_made or private.configured(found.app.conf):
        return []
    other = startup.broker_elsewhere(found.app)
    sentence = f"The app {found.name} names no broker and goes to amqp://localhost; {other} names one."
    hint = "set CELERY_BROKER_URL, or choose that app with TASKTOOLS_APP"
    return [CheckWarning(sentence, hint=hint, id="tasktools.W001")] if other else []
