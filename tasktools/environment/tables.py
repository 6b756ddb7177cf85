"""Whether the tables that a class needs are in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps

from tasktools.environment.installed import is_installed


def app_of(kind: type) -> AppConfig | None:
    """Return the app that is an installed package, has models, and holds the class or one that it is derived from."""
    return next((app for each in kind.__mro__ if (app := _app_of(each))), None)


def lacks_tables(app: AppConfig) -> bool:
    """Whether tables of an app are missing in the database; False if nobody knows. It connects, which may take long."""
    try:
        return any(map(_is_missing, app.get_models()))
    except Exception:  # noqa: BLE001 - whoever needs the database reports what is wrong with it
        return False


def _app_of(kind: type) -> AppConfig | None:
    app = apps.get_containing_app_config(kind.__module__)
    return app if app and is_installed(Path(app.path)) and any(app.get_models()) else None


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
