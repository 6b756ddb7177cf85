from __future__ import annotations

from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType, ContentTypeManager
from django.db import Error, connection

from tasktools.environment import tables
from tasktools.environment.tables import app_of, lacking, migrate_hint, migrate_hint_for


def missing_tables(kind: type) -> str:
    app = app_of(kind)
    return app.label if app and lacking(app) else ""


class Derived(ContentTypeManager):
    """A class of the project that is derived from one of an installed app."""


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [ContentType, ContentTypeManager, Derived])
def test_missing_tables__those_of_the_installed_app(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    assert missing_tables(kind) == ""
    monkeypatch.setattr(connection.introspection, "table_names", lambda *_: ["another"])
    assert missing_tables(kind) == "contenttypes"


@pytest.mark.parametrize("kind", [int, Derived.__mro__[-1]])
def test_missing_tables__of_what_has_none(kind: type) -> None:
    assert missing_tables(kind) == ""


@pytest.mark.django_db
def test_missing_tables__not_those_of_tasktools(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that is not migrated has a beat all the same, also where tasktools is installed as a package."""

    class Ours(ContentTypeManager):
        __module__ = "tasktools.beat.scheduler"

    monkeypatch.setattr(tables, "is_installed", lambda path: True)
    monkeypatch.setattr(connection.introspection, "table_names", list)
    assert missing_tables(type("Scheduler", (), {"__module__": "tasktools.beat.scheduler"})) == ""
    assert missing_tables(Ours) == "contenttypes"


@pytest.mark.django_db
def test_missing_tables__not_of_an_app_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "is_installed", lambda path: False)
    monkeypatch.setattr(connection.introspection, "table_names", list)
    assert missing_tables(ContentType) == ""


@pytest.mark.parametrize("error", [Error("gone"), ValueError("odd")])
@pytest.mark.django_db
def test_missing_tables__nobody_knows(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(connection.introspection, "table_names", fail)
    assert missing_tables(ContentType) == ""


class Elsewhere:
    """A router that has an app in another database."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "other" if model._meta.app_label == "contenttypes" else None


@pytest.mark.django_db
def test_lacking__names_the_database_that_is_written(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(connection.introspection, "table_names", list)
    app = app_of(ContentType)
    assert app is not None
    assert lacking(app) == "default"
    settings.DATABASE_ROUTERS = [Elsewhere()]
    assert lacking(app) == "other"


def test_migrate_hint__names_another_database_than_the_default() -> None:
    assert migrate_hint("shop", "default") == migrate_hint("shop") == "python manage.py migrate shop"
    assert migrate_hint("shop", "the other") == "python manage.py migrate shop --database='the other'"
    assert migrate_hint() == "python manage.py migrate"


@pytest.mark.parametrize(
    "text",
    [
        "no such table: django_content_type",
        'relation "django_content_type" does not exist',
        "(1146, \"Table 'site.django_content_type' doesn't exist\")",
    ],
)
def test_migrate_hint_for__the_table_that_an_error_names(settings: Any, text: str) -> None:
    assert migrate_hint_for(text) == "python manage.py migrate contenttypes"
    settings.DATABASE_ROUTERS = [Elsewhere()]
    assert migrate_hint_for(text) == "python manage.py migrate contenttypes --database=other"
    assert migrate_hint_for("no such table: django_content_types") == "python manage.py migrate"


@pytest.mark.parametrize(
    "text", ['relation "other_rows" does not exist: django_content_type', "no table django_content_type"]
)
def test_migrate_hint_for__another_word_of_the_text_is_no_table(text: str) -> None:
    """It may be the name of a user, of the database or of a column."""
    assert migrate_hint_for(text) == "python manage.py migrate"


class Broken:
    """A router that fails."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        raise LookupError("no such shard")


def test_migrate_hint_for__a_router_that_fails(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [Broken()]
    assert migrate_hint_for("no such table: django_content_type") == "python manage.py migrate"
