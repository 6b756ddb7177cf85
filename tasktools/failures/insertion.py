"""Insert the rows of failed tasks one by one where they are refused together (`statement`), so that a bad row holds up no other.

A row has the key of its failure, which is unique: what an earlier attempt has written, although its answer was lost, is found
by it and left out. An `INSERT IGNORE` would not do: MySQL then also cuts values without an error, and Oracle has none.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from django.db import InterfaceError, InternalError, OperationalError, connections, transaction

from tasktools import terminal
from tasktools.failures.full_disk import lacks_room, sqlstate
from tasktools.failures.message import NOTHING
from tasktools.failures.text import clean
from tasktools.models import FailedTask
from tasktools.render import text_of

logger = logging.getLogger("tasktools.failures")

#: PostgreSQL's code for what an account has no right to (insufficient_privilege), by the SQL standard's numbers.
_FORBIDDEN = "42501"


class Away(Exception):
    """The database cannot be used now."""


class Refused(Away):
    """The database answers, but takes nothing of a row."""

    def __init__(
        self, why: str, *, key: Any = None, done: Sequence[Any] = (), works: bool = False, lacks_room: bool = False
    ) -> None:
        super().__init__(why)
        #: The key of that row, and those of the rows that are done with.
        self.key, self.done = key, done
        #: Whether some of those were written just before it.
        self.works = works
        #: Whether the disk has no room for it: it may have room again, and then the whole row is written.
        self.lacks_room = lacks_room


class Missing(Exception):
    """The table is not there: the site is not migrated."""


def insert_each(rows: Sequence[FailedTask], alias: str) -> None:
    """Insert row by row those that are not there yet, in part or not at all what the database refuses.

    Raises Away if it does not answer; Refused if it takes nothing of a row for a reason that may be its own, as a full disk.
    """
    there = _keys(rows, alias)
    done, works = list(there), False
    for each in rows:
        if each.key in there:
            continue
        try:
            _save(each, alias)
        except Exception as error:
            if not answers(alias):
                raise Away(told(error)) from error
            if (full := lacks_room(error)) or not _insert_part(each, error, alias):
                if is_of_database(error):
                    raise Refused(told(error), key=each.key, done=done, works=works, lacks_room=full) from error
                logger.error("A failed task is not recorded: %s: %s", called(each), told(error))
                done.append(each.key)
                continue
        done.append(each.key)
        works = True


def answers(alias: str) -> bool:
    """Whether the database answers on a new connection: after an error the old one may be dead, or its transaction is."""
    connection: Any = connections[alias]
    if not connection.in_atomic_block:  # a test's
        with contextlib.suppress(Exception):
            connection.close()
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1{connection.features.bare_select_suffix}")
            return bool(cursor.fetchone())
    except Exception:  # noqa: BLE001 - a driver may raise anything of a server that goes
        return False


def lacks_table(alias: str) -> bool:
    """Whether the database has no such table."""
    with contextlib.suppress(Exception):
        return FailedTask._meta.db_table not in connections[alias].introspection.table_names()
    return False


def is_of_database(error: Exception) -> bool:
    """Whether an error may be the database's, and not the row's: it takes no writes now, or none of this account."""
    if isinstance(error, (OperationalError, InterfaceError, InternalError, OSError)):
        return True  # PostgreSQL's is an InternalError while it is a standby, or read-only
    return lacks_room(error) or sqlstate(error) == _FORBIDDEN


def told(error: Exception) -> str:
    """Return an error in one line, as the log has it."""
    words = " ".join(text_of(error).split())
    return terminal.line(f"{type(error).__name__}: {words[:300]}")


def called(task: Any) -> str:
    """Return which task a line of the log is about."""
    return terminal.line(f"{task.task[:255]}[{task.task_id[:255]}]")


def _keys(rows: Sequence[FailedTask], alias: str) -> set[Any]:
    """Return the keys of those that are in the table already."""
    try:
        given = [each.key for each in rows]
        return set(FailedTask.objects.using(alias).filter(key__in=given).values_list("key", flat=True))
    except Exception as error:
        raise Away(told(error)) from error


def _insert_part(refused: FailedTask, error: Exception, alias: str) -> bool:
    """Insert as much of a row as the database takes; return whether it took anything."""
    for lessen in (_in_ascii, _without_message):
        lessen(refused)
        try:
            _save(refused, alias)
        except Exception:  # noqa: BLE001 - whatever it is: less may be taken
            answers(alias)  # on a new connection: MySQL ends the one that had too much
        else:
            logger.warning("A failed task is recorded in part: %s: %s", called(refused), told(error))
            return True
    return False


def _save(one: FailedTask, alias: str) -> None:
    one.pk = None
    with transaction.atomic(using=alias):
        one.save(using=alias, force_insert=True)


def _in_ascii(refused: FailedTask) -> None:
    for each in ("task_id", "task", "exception", "reason", "traceback", "arguments", "message"):
        text = clean(str(getattr(refused, each))).encode("ascii", "backslashreplace").decode()
        longest: int | None = getattr(FailedTask._meta.get_field(each), "max_length", None)
        setattr(refused, each, text[:longest])


def _without_message(refused: FailedTask) -> None:
    refused.reason = f"{refused.reason[:1000]}\nThe database has refused the rest: the message is not kept."
    refused.traceback, refused.arguments = refused.traceback[:1000], ""
    refused.message, refused.body = NOTHING.text(), None
