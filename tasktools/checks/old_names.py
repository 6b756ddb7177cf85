"""W040, E040: no setting has the name that Celery gave it before version 4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import celery
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from tasktools import conf, startup
from tasktools.celery_compat import DEFAULTS, NEW_NAMES
from tasktools.checks.setting_values import text_of
from tasktools.discovery.celery_app import Found
from tasktools.discovery.import_names import reads_settings
from tasktools.discovery.setting_names import is_given, prefix_of, spelled

#: The ids that this module can give.
IDS = ("tasktools.W040", "tasktools.E040")

#: Settings that decide where the tasks of a site run, and which.
_VITAL = frozenset({"beat_schedule", "broker_url", "task_always_eager"})

#: Old names that anybody may use, as parts of a URL or for a broker of another kind.
_ANYBODYS = frozenset(
    {"BROKER_HOST", "BROKER_PASSWORD", "BROKER_PORT", "BROKER_TRANSPORT", "BROKER_USER", "BROKER_VHOST"}
)


def check(found: Found) -> list[CheckMessage]:
    """Report old names of an app with a namespace. Without one, they are the names that Celery reads from Django's settings."""
    if not applies(found.app):
        return []
    return [message for name, new, value in _written() if (message := _message(found.app, name, new, value))]


def applies(app: Any) -> bool:
    """Whether the app reads Django's settings, by names with a prefix."""
    return prefix_of(app).isupper() and reads_settings(app)


def _written() -> Iterator[tuple[str, str, Any]]:
    """Yield each old name in the settings, its new one, and the value. CELERY_TIMEZONE and others have not changed."""
    for name, value in conf.written("CELERY", "BROKER_").items():
        new = NEW_NAMES.here().get(name)
        if new and name not in _ANYBODYS and name != f"CELERY_{new.upper()}":
            yield name, new, value


def _message(app: Any, name: str, new: str, value: Any) -> CheckMessage | None:
    setting = spelled(app, new)
    if is_given(app, new):
        is_copied = app.conf[new] == value or not name.startswith("CELERY")  # BROKER_URL may be a part of the new one
        return None if is_copied else _contradiction(app, name, value, new)
    if value == DEFAULTS.here()[new] or (name == conf.OLD_BROKER and not conf.has_old_broker()):
        return None
    version = celery.__version__
    fate = f"Celery {version} reads it, and those before 5.7 ignore it"
    if app.conf[new] != value:
        fate = f"Celery {version} ignores it"
    kind, level = (Error, "E") if new in _VITAL else (CheckWarning, "W")
    return kind(
        f"{name} is an old name of {setting}: {fate}.", hint=f"rename it to {setting}", id=f"tasktools.{level}040"
    )


def _contradiction(app: Any, name: str, value: Any, new: str) -> CheckMessage:
    hide, setting = startup.hider(app), spelled(app, new)
    text, used = text_of(new, value, hide), text_of(new, app.conf[new], hide)
    sentence = f"{name} is {text}, and {setting}, its new name, is {used}: Celery uses the second."
    if not text or not used or text == used:  # equal where the passwords alone differ
        sentence = f"{name} and {setting}, its new name, have different values: Celery uses the second."
    return Error(sentence, hint=f"remove {name}", id="tasktools.E040")
