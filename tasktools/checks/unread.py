"""W053: somebody reads the settings of Celery."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import conf
from tasktools.brokers import private
from tasktools.celery_compat import DEFAULTS
from tasktools.discovery import celery_app
from tasktools.discovery.celery_app import Found
from tasktools.discovery.import_names import reads_settings

#: The ids that this module can give.
IDS = ("tasktools.W053",)

#: Settings that others read too, such as django-celery-beat.
_READ_ELSEWHERE = ("timezone", "enable_utc")


def check(found: Found) -> list[CheckMessage]:
    """Warn of settings that the project's own app does not have, although it could: it has Celery's default in their place."""
    if found.ready_made:
        return []
    written = conf.written(set(DEFAULTS.here()) - set(_READ_ELSEWHERE))
    unread = [name for name, value in written.items() if _is_unread(found.app.conf, name, value)]
    if not unread or any(reads_settings(each.app) for each in celery_app.others(found.app)):
        return []
    named = unread[0] if len(unread) == 1 else f"{unread[0]} and {len(unread) - 1} more"
    return [
        CheckWarning(
            f"{named} {'is' if len(unread) == 1 else 'are'} set, and the Celery app {found.name} {_why(found)}.",
            hint='app.config_from_object("django.conf:settings", namespace="CELERY")',
            id="tasktools.W053",
        )
    ]


def _is_unread(settings: Any, name: str, value: Any) -> bool:
    key = name.removeprefix("CELERY_").lower()
    default, has = DEFAULTS.here()[key], settings[key]
    return has != value and (has == default or (key == "broker_url" and private.is_private(settings)))


def _why(found: Found) -> str:
    if not reads_settings(found.app):
        return "does not read the settings of Django"
    app: Any = found.app
    namespace = app.namespace
    return f'reads those of the namespace "{namespace}"' if namespace else "reads them without a namespace"
