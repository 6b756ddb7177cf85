"""Rows that are inserted together are what bulk_create would have made of them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections

from tasktools.failures import statement
from tasktools.failures.row import Row
from tasktools.failures.statement import insert
from tasktools.models import FailedTask
from tests.servers import DEMANDED, PostgreSQL, started


def rows(*, zone: Any = timezone.utc) -> list[Row]:
    """Return rows with all that a column may have."""
    at = datetime(2026, 3, 4, 5, 6, 7, 890_123, zone)
    common = {
        "task": "shop.add",
        "kind": "raised",
        "state": "failed",
        "exception": "builtins.ValueError",
        "traceback": "Traceback:\n  \\n\t'quoted' \"twice\" {} %s %(name)s ?",
        "arguments": '{"args": ["\\\\u0000", "\\u009b"], "kwargs": {}}',
        "queue": "celery",
        "worker": "w@here",
        "failed_at": at,
        "retries": 2**31 - 1,
        "failures": 3,
        "message": '{"headers": {}}',
        "new_id": "",
        "sent_by": "",
        "sent_again_at": None,
        "mended_at": None,
    }
    full = {
        "reason": "für \U0001f600 \\x41",
        "sent_at": at - timedelta(days=9999),
        "started_at": at,
        "body": bytes(range(256)),
    }
    bare = {"reason": "", "sent_at": None, "started_at": None, "body": None}
    return [
        {**common, **full, "key": uuid.uuid4(), "task_id": "full", "retry_of": "before"},
        {**common, **bare, "key": uuid.uuid4(), "task_id": "bare", "retry_of": ""},
    ]


def found(alias: str) -> list[dict[str, Any]]:
    kept = FailedTask.objects.using(alias).order_by("pk").values()
    return [{**each, "id": 0, "body": None if each["body"] is None else bytes(each["body"])} for each in kept]


def check(alias: str, given: list[Row]) -> None:
    insert(given, connections[alias])
    ours = found(alias)
    FailedTask.objects.using(alias).all().delete()
    FailedTask.objects.using(alias).bulk_create([FailedTask(**each) for each in given])
    assert ours == found(alias)
    assert [each["task_id"] for each in ours] == [each["task_id"] for each in given]
    FailedTask.objects.using(alias).all().delete()


@pytest.mark.django_db
@pytest.mark.parametrize("zones", [True, False])
def test_insert__sqlite(settings: Any, zones: bool) -> None:
    settings.USE_TZ = zones
    check("default", rows(zone=timezone.utc if zones else None))
    insert([], connection)
    assert FailedTask.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_insert__all_or_none() -> None:
    """Outside of a transaction, SQLite would keep each row that it has taken."""
    first, second = rows()
    with pytest.raises(IntegrityError):
        insert([first, {**second, "key": first["key"]}], connection)
    assert FailedTask.objects.count() == 0


@pytest.mark.django_db
def test_insert__another_database_gets_them_by_bulk_create(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "mysql")
    with django_assert_num_queries(1):
        insert(rows(), connection)
    assert [each["task_id"] for each in found("default")] == ["full", "bare"]


def test_insert__names_each_column() -> None:
    """A value that a column lacks would be a row with less in it."""
    assert {each.attname for each in FailedTask._meta.concrete_fields} == {"id", *rows()[0]}


#: The statement for PostgreSQL. Each type is the name of a field of Django.
STATEMENT = (
    'INSERT INTO "tasktools_failedtask" ("key", "task_id", "task", "kind", "state", "exception", "reason", "traceback", '
    '"arguments", "queue", "worker", "sent_at", "started_at", "failed_at", "retries", "failures", "retry_of", "message", '
    '"body", "new_id", "sent_by", "sent_again_at", "mended_at") '
    'SELECT "key", "task_id", "task", "kind", "state", "exception", "reason", "traceback", '
    '"arguments", "queue", "worker", "sent_at", "started_at", "failed_at", "retries", "failures", "retry_of", "message", '
    '"body", "new_id", "sent_by", "sent_again_at", "mended_at" '
    'FROM json_to_recordset(%s) AS given ("key" UUIDField, "task_id" CharField, "task" CharField, "kind" CharField, '
    '"state" CharField, "exception" CharField, "reason" TextField, "traceback" TextField, "arguments" TextField, '
    '"queue" CharField, "worker" CharField, "sent_at" DateTimeField, "started_at" DateTimeField, '
    '"failed_at" DateTimeField, "retries" PositiveIntegerField, "failures" PositiveIntegerField, "retry_of" CharField, '
    '"message" TextField, "body" BinaryField, "new_id" CharField, "sent_by" CharField, "sent_again_at" DateTimeField, '
    '"mended_at" DateTimeField)'
)


class Recording:
    """A connection to PostgreSQL that writes nothing."""

    vendor = alias = "postgresql"
    data_types = {name: name for name in connection.data_types}
    ops = SimpleNamespace(quote_name=lambda name: f'"{name}"')

    def __init__(self) -> None:
        self.said: list[Any] = []

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        yield SimpleNamespace(execute=lambda *words: self.said.append(words))


def test_insert__postgresql_gets_one_value_unless_it_is_big(monkeypatch: pytest.MonkeyPatch) -> None:
    recording, given = Recording(), rows()
    insert(given, recording)
    [(text, [value])] = recording.said
    assert text == STATEMENT
    told = json.loads(value)
    assert (told[0]["key"], told[0]["body"]) == (str(given[0]["key"]), f"\\x{bytes(range(256)).hex()}")
    assert told[0]["failed_at"] == "2026-03-04T05:06:07.890123+00:00"
    assert "body" not in told[1]
    monkeypatch.setattr(statement, "_LIGHT", 255)
    with pytest.raises(Exception, match="postgresql"):  # bulk_create asks Django for that connection
        insert(given, recording)
    assert len(recording.said) == 1


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A real server. It is not in pytest's folder, into which only this user may look."""
    if not os.environ.get(DEMANDED):
        pytest.importorskip("psycopg")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with started(PostgreSQL, Path(folder) / "pg") as made:
            yield made


@pytest.fixture
def postgresql(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[str]:
    """The table in the server, as the alias of a database."""
    values = {
        **connections["default"].settings_dict,
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "HOST": "127.0.0.1",
        "PORT": server.port,
        "USER": server.user,
        "OPTIONS": {},
    }
    monkeypatch.setitem(connections.settings, "pg", values)
    with django_db_blocker.unblock():
        with connections["pg"].schema_editor() as editor:
            editor.create_model(FailedTask)
        yield "pg"
        connections["pg"].close()
        del connections["pg"]


def test_insert__postgresql(postgresql: str, settings: Any) -> None:
    for zones in (True, False):
        settings.USE_TZ = zones
        check(postgresql, rows(zone=timezone.utc if zones else None))
