"""Under which names the project gives Celery its settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tasktools.brokers import private
from tasktools.celery_compat import DEFAULTS, NEW_NAMES

if TYPE_CHECKING:
    from celery import Celery

#: Settings that Celery also takes from the environment (celery.app.utils.Settings).
_IN_ENVIRONMENT = {"broker_url": "CELERY_BROKER_URL", "result_backend": "CELERY_RESULT_BACKEND"}


def prefix_of(app: Any) -> str:
    """Return what the names of the app's settings begin with, as "CELERY_"; "" for an app without a namespace."""
    return f"{app.namespace.rstrip('_')}_" if app.namespace else ""


def spelled(app: Celery, name: str) -> str:
    """Return the name under which the project writes a setting of Celery: CELERY_TASK_TIME_LIMIT for task_time_limit."""
    prefix = prefix_of(app)
    return prefix + (name.upper() if prefix.isupper() else name)


def is_given(app: Celery, name: str) -> bool:
    """Whether the settings, the code or the environment gives a setting of Celery under its new name, even its default."""
    if os.environ.get(_IN_ENVIRONMENT.get(name, "")):
        return True
    conf: Any = app.conf
    keys = (name, spelled(app, name))
    return any(key in each and not _is_ours(each[key]) for each in conf.maps[:-1] for key in keys)


def _is_ours(value: Any) -> bool:
    """Whether tasktools has written the value: the address of the private Valkey, or that there is no broker."""
    return value == private.UNSET or private.folder_of(str(value)) is not None


def given(app: Celery) -> Iterator[tuple[str, Any]]:
    """Yield each setting of Celery that somebody has given, and the value that Celery reads. A missing one costs no look-up."""
    conf: Any = app.conf
    keys = {key for each in conf.maps[:-1] for key in each}
    old = {new for name, new in NEW_NAMES.here().items() if name in keys}
    for name in DEFAULTS.here():
        if name in old or name in keys or spelled(app, name) in keys:
            yield name, conf[name]
