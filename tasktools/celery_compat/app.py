"""The app."""

from __future__ import annotations

from tasktools.environment.private import Private

_APP = "celery.app.base:Celery"

ACTIVE_APPS = Private(
    "celery._state", "_get_active_apps", "finding the app that the project has made", "a public list of apps", ()
)
DEFAULT_APP = Private("celery._state", "default_app", "one app for @shared_task in every thread", "a public getter")
CONFIG_SOURCE = Private(
    _APP,
    "_config_source",
    "knowing that an app reads Django's settings",
    "the argument of config_from_object, public",
    on_objects=True,
)
FIXUPS = Private(
    _APP,
    "_fixups",
    "knowing whether a worker runs the system checks",
    "a public list",
    optional=True,
)
CONFIGURED = Private(
    _APP, "configured", "leaving settings unread until somebody asks for them", "a public flag", on_objects=True
)
IS_CURRENT = Private(
    _APP,
    "set_as_current",
    "distinguishing an app for another service from the project's",
    "a public flag",
    on_objects=True,
)
APP_FIXUPS = Private(
    _APP, "fixups", "distinguishing Celery's fallback app from a real one", "a public flag", on_objects=True
)
PROXIED = Private(
    "celery.local:Proxy", "_get_current_object", "-A with a module that holds a proxy of the app", "a public getter", ()
)
DEFAULTS = Private("celery.app.defaults", "DEFAULTS", "hiding passwords in any setting", "a public list of settings")
NEW_NAMES = Private("celery.app.defaults", "_TO_NEW_KEY", "the check of old names of settings", "the same")
