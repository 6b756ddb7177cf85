"""Whether the tables that a class needs are in the database, and the command that makes them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps

from tasktools.environment.installed import is_installed

_OURS = __name__.partition(".")[0]

#: What SQLite, PostgreSQL and MySQL say of a table that is not there; a schema or a database may stand in front of its name.
_NO_TABLE = re.compile(
    r"""no such table: (?:\w+\.)?(\w+)|relation "(?:[^".]*\.)?([^"]+)"|Table '(?:[^'.]*\.)?([^']+)'"""
)


def app_of(kind: type) -> AppConfig | None:
    """Return the app that is an installed package, has models, and holds the class or one that it is derived from.

    That is never tasktools: what it makes of a scheduler or a backend needs no table of its own.
    """
    return next((app for each in kind.__mro__ if (app := _app_of(each))), None)


def lacking(app: AppConfig) -> str:
    """Return the alias of a database in which tables of an app are missing; "" if none is, or nobody knows.

    It connects, which may take long.
    """
    from django.db import router

    try:
        return next((router.db_for_write(each) for each in app.get_models() if _is_missing(each)), "")
    except Exception:  # noqa: BLE001 - whoever needs the database reports what is wrong with it
        return ""


def migrate_hint(label: str = "", alias: str = "") -> str:
    """Return the command that makes the tables of an app. `migrate` alone is about the database "default"."""
    from django.db import DEFAULT_DB_ALIAS

    words = ["python manage.py migrate", label]
    if alias and alias != DEFAULT_DB_ALIAS:
        words.append(f"--database={shlex.quote(alias)}")
    return " ".join(filter(None, words))


def migrate_hint_for(text: str) -> str:
    """Return the command that makes the table that an error's text names; without the app if no model has such a table.

    The same if a router of the project fails: the error that it helps with must not be lost.
    """
    from django.db import router

    found = _NO_TABLE.search(text)
    try:
        model = next((each for each in apps.get_models() if found and each._meta.db_table in found.groups()), None)
        return migrate_hint(model._meta.app_label, router.db_for_write(model)) if model else migrate_hint()
    except Exception:  # noqa: BLE001 - a router is code of the project
        return migrate_hint()


def _app_of(kind: type) -> AppConfig | None:
    app = apps.get_containing_app_config(kind.__module__)
    if app is None or app.name == _OURS:
        return None
    return app if is_installed(Path(app.path)) and any(app.get_models()) else None


def _is_missing(model: Any) -> bool:
    from django.db import connections, router

    if not model._meta.managed or model._meta.proxy or model._meta.swapped:
        return False
    connection = connections[router.db_for_read(model)]
    try:
        return model._meta.db_table not in connection.introspection.table_names()
    finally:
        if not connection.in_atomic_block:
            connection.close()
