"""The statement that inserts rows of failed tasks together, with as little work as the database allows.

Django's bulk_create makes SQL with a placeholder for each value of each row, and asks each field about each value. That takes
more processor time than all else that is done about a failed task. Here, the text of the statement is the same for any number
of rows, and only the values that need it are converted. Other databases than these get their rows by bulk_create.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Field

from tasktools.failures.row import Row
from tasktools.models import FailedTask

#: How many rows one insert has at most, and one delete.
BATCH = 500

#: How much the bodies of messages may have in all for PostgreSQL's one value, in bytes: it is copied some times.
_LIGHT = 2**20


def insert(rows: Sequence[Row], connection: Any) -> None:
    """Insert all rows, or none."""
    if not rows:
        return
    if connection.vendor == "sqlite":
        _insert_by_executemany(rows, connection)
    elif connection.vendor == "postgresql" and sum(len(each["body"] or b"") for each in rows) <= _LIGHT:
        _insert_as_one_value(rows, connection)
    else:
        FailedTask.objects.using(connection.alias).bulk_create([FailedTask(**each) for each in rows], batch_size=BATCH)


def _insert_by_executemany(rows: Sequence[Row], connection: Any) -> None:
    """SQLite's library reads the statement once, and takes row after row."""
    fields = _fields()
    places = ", ".join(["%s"] * len(fields))
    names = [each.attname for each in fields]
    values = [[_for_sqlite(one[name], connection) for name in names] for one in rows]
    with transaction.atomic(using=connection.alias, savepoint=False), connection.cursor() as cursor:
        cursor.executemany(f"{_into(fields, connection)} VALUES ({places})", values)


def _for_sqlite(value: Any, connection: Any) -> Any:
    """Return a value as the fields of Django have it in this database."""
    if type(value) is datetime:
        return connection.ops.adapt_datetimefield_value(value)
    return value.hex if type(value) is uuid.UUID else value


def _insert_as_one_value(rows: Sequence[Row], connection: Any) -> None:
    """PostgreSQL gets all rows as one JSON value, in one round trip: it has nothing to plan for each value.

    A copy (COPY FROM STDIN) would be as quick; but it is another call in each driver, and no row-level security allows it.
    """
    fields = _fields()
    quote = connection.ops.quote_name
    columns = ", ".join(f"{quote(each.column)} {each.db_type(connection)}" for each in fields)
    names = ", ".join(quote(each.column) for each in fields)
    statement = f"{_into(fields, connection)} SELECT {names} FROM json_to_recordset(%s) AS given ({columns})"
    by_column = [{field.column: value for field in fields if (value := one[field.attname]) is not None} for one in rows]
    with connection.cursor() as cursor:
        cursor.execute(statement, [json.dumps(by_column, default=_text, ensure_ascii=False)])


def _text(value: Any) -> str:
    """Return a value as PostgreSQL reads it for a column of its type."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _into(fields: Sequence[Any], connection: Any) -> str:
    quote = connection.ops.quote_name
    names = ", ".join(quote(each.column) for each in fields)
    return f"INSERT INTO {quote(FailedTask._meta.db_table)} ({names})"


def _fields() -> list[Field[Any, Any]]:
    return [each for each in FailedTask._meta.concrete_fields if not each.primary_key]
