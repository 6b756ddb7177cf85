from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, InternalError, OperationalError, ProgrammingError

from tasktools.doctor import failed_tasks
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.failures import access
from tasktools.failures.access import migrate_hint, reading


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OperationalError("Connection refused"), "start it, or fix DATABASES in the settings"),
        (InterfaceError("connection already closed"), "start it, or fix DATABASES in the settings"),
        (
            OperationalError("attempt to write a readonly database"),
            "name the server or the file in DATABASES that may be written",
        ),
        (
            InternalError("cannot execute UPDATE in a read-only transaction"),
            "name the server or the file in DATABASES that may be written",
        ),
        (OperationalError("database or disk is full"), "make room on its disk"),
        (OperationalError("could not extend file: No space left on device"), "make room on its disk"),
        (ProgrammingError("permission denied for table tasktools_failedtask"), "allow its account to use the table"),
        (DatabaseError("file is not a database"), "name another file in DATABASES, or restore this one"),
        (OperationalError("database is locked"), "another process writes: try again"),
        (OperationalError("database table is locked: x"), "another process writes: try again"),
        (OperationalError("(3118) Access denied. Account is locked"), "start it, or fix DATABASES in the settings"),
        (ProgrammingError("permission denied for schema public"), "allow its account to use the table"),
        (ProgrammingError("(1142) INSERT command denied to user"), "allow its account to use the table"),
        (OperationalError("FATAL: permission denied for database x"), "start it, or fix DATABASES in the settings"),
        (
            OperationalError('connection to socket "/x" failed: Permission denied'),
            "start it, or fix DATABASES in the settings",
        ),
    ],
)
def test_reading__says_what_the_database_says_and_what_helps(error: Exception, hint: str) -> None:
    with pytest.raises(Unreachable) as caught, reading():
        raise error
    assert caught.value.sentence == f'The database "default" cannot be used: {error}.'
    assert caught.value.hint == hint


def test_reading__ends_a_question_as_one() -> None:
    with pytest.raises(Unreachable) as caught, reading():
        raise OperationalError("Connection refused\n\tIs the server running?")
    assert caught.value.sentence.endswith(": Connection refused Is the server running?")


@pytest.mark.parametrize(
    "text", ["no such table: x", 'relation "x" does not exist\nLINE 1: SELECT\n^', "Table 'x' doesn't exist"]
)
def test_reading__of_a_table_that_is_missing_shows_no_statement(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught, reading():
        raise ProgrammingError(text)
    assert caught.value.sentence == 'The table of failed tasks is not in the database "default".'
    assert caught.value.hint == "python manage.py migrate tasktools"


class Elsewhere:
    """A router with another database for everything."""

    def db_for_write(self, model: type[Any], **hints: Any) -> str:
        return "the other"


def test_migrate_hint__names_the_database_of_the_table(settings: Any) -> None:
    assert migrate_hint() == "python manage.py migrate tasktools"
    settings.DATABASE_ROUTERS = [Elsewhere()]
    assert migrate_hint() == "python manage.py migrate tasktools --database='the other'"


def test_doctor__ends_a_question_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> bool:
        raise OperationalError("Is the server running?")

    monkeypatch.setattr(access, "is_missing", away)
    found = failed_tasks.line(is_on=True, limit=5)
    assert found.text.endswith("cannot be used: Is the server running?")
