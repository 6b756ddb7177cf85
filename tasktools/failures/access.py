"""The table of failed tasks for commands and the admin, and what is said when it cannot be used."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, router

from tasktools.brokers.reach import lacks_table, reason_at_end
from tasktools.environment import tables
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.failures.full_disk import lacks_room
from tasktools.models import FailedTask


def database() -> str:
    """Return the alias of the database that has the table: all reads are from where it is written, too."""
    return router.db_for_write(FailedTask)


def migrate_hint() -> str:
    """Return the command that makes the table."""
    return tables.migrate_hint("tasktools", database())


def rows() -> Any:
    """Return all failed tasks as a queryset."""
    return FailedTask.objects.using(database())


def is_missing() -> bool:
    """Whether the database answers and has no such table: the site is not migrated. It connects, which may take long.

    Raises what the database raises.
    """
    connection = connections[database()]
    try:
        return FailedTask._meta.db_table not in connection.introspection.table_names()
    finally:
        if not connection.in_atomic_block:
            connection.close()


def is_in_transaction() -> bool:
    """Whether this thread is in a transaction of that database."""
    return connections[database()].in_atomic_block


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turn the errors of the database into those of a command.

    A table that is not there is an error of the configuration (exit code 2), as for the tables of a broker or a result
    backend: nobody is away, and nothing helps but a command. Raises ConfigurationError and Unreachable.
    """
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        if lacks_table(error):
            sentence = f'The table of failed tasks is not in the database "{database()}".'
            raise ConfigurationError(sentence, hint=migrate_hint()) from error
        sentence = f'The database "{database()}" cannot be used: {reason_at_end(error)}'
        raise Unreachable(sentence, hint=remedy(error)) from error


def remedy(error: Exception) -> str:
    """Return what helps against an error of the database."""
    if lacks_room(error):
        return "make room on its disk"
    text = str(error)
    return next(
        (words for pattern, words in _REMEDIES if pattern.search(text)), "start it, or fix DATABASES in the settings"
    )


_REMEDIES = (
    (re.compile("read-?only", re.IGNORECASE), "name the server or the file in DATABASES that may be written"),
    (
        re.compile(r"permission denied for (?:table|relation|sequence|schema)|command denied", re.IGNORECASE),
        "allow its account to use the table",
    ),
    (re.compile("is not a database|malformed", re.IGNORECASE), "name another file in DATABASES, or restore this one"),
    (re.compile(r"database (?:table )?is locked", re.IGNORECASE), "another process writes: try again"),
)
