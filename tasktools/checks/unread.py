"""W053: somebody reads the settings of Celery."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import conf
from tasktools.brokers import private
from tasktools.celery_compat import CONFIG_SOURCE, DEFAULTS
from tasktools.discovery import celery_app
from tasktools.discovery.celery_app import Found
from tasktools.discovery.import_names import reads_settings

#: The ids that this module can give.
IDS = ("tasktools.W053",)

#: Settings that others read too, such as django-celery-beat.
_READ_ELSEWHERE = ("timezone", "enable_utc")


def check(found: Found) -> list[CheckMessage]:
    """Warn of settings that the project's own app does not have, although it could: it has Celery's default in their place."""
    why = "" if found.ready_made else _why(found.app)
    if not why:
        return []
    known = {f"CELERY_{each.upper()}" for each in DEFAULTS.here() if each not in _READ_ELSEWHERE}
    written = {name: value for name, value in conf.written("CELERY_").items() if name in known}
    unread = [name for name, value in sorted(written.items()) if _is_unread(found.app.conf, name, value)]
    # An app that no module holds may be for one call; and another app of the project may read the settings.
    if not (unread and found.name) or any(reads_settings(each.app) for each in celery_app.others(found.app)):
        return []
    named = unread[0] if len(unread) == 1 else f"{unread[0]} and {len(unread) - 1} more"
    verb = "is" if len(unread) == 1 else "are"
    return [
        CheckWarning(
            f"{named} {verb} set, and nothing reads {'it' if verb == 'is' else 'them'}: the Celery app {found.name} {why}.",
            hint='app.config_from_object("django.conf:settings", namespace="CELERY")',
            id="tasktools.W053",
        )
    ]


def _why(app: Any) -> str:
    """Return why `app` does not read the settings CELERY_*; "" if it does, or if the project may want that."""
    if not reads_settings(app):
        return "" if CONFIG_SOURCE.get(app) else "has no config_from_object"
    if app.namespace:
        is_used = conf.written(f"{app.namespace}_")
        return "" if is_used else f'reads the namespace "{app.namespace}", in which there is no setting'
    return "reads the settings without a namespace"


def _is_unread(settings: Any, name: str, value: Any) -> bool:
    key = name.removeprefix("CELERY_").lower()
    default, has = DEFAULTS.here()[key], settings[key]
    return has != value and (has == default or (key == "broker_url" and private.is_private(settings)))
