from __future__ import annotations

from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType, ContentTypeManager
from django.db import Error, connection

from tasktools.environment import tables
from tasktools.environment.tables import app_of, lacks_tables


def missing_tables(kind: type) -> str:
    app = app_of(kind)
    return app.label if app and lacks_tables(app) else ""


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
