"""Whether a database's disk is full: by its codes, as its texts may be in another language than English."""

from __future__ import annotations

import re
from typing import Any

from django.db import InterfaceError, InternalError, OperationalError

#: PostgreSQL's code (disk_full), and SQLite's (SQLITE_FULL).
_SQLSTATE = "53100"
_SQLITE = 13

#: MySQL's codes (ER_DISK_FULL, ER_RECORD_FILE_FULL), and those with the system's code in the text, which is 28 (ENOSPC) on
#: Linux and macOS (ER_GET_ERRNO, ER_ERROR_ON_WRITE, EE_WRITE).
_MYSQL = (1021, 1114)
_MYSQL_WITH_CODE = {1030: re.compile(r"^\D*28\b"), 1026: re.compile(r": *28\b"), 3: re.compile(r": *28\b")}

#: What SQLite, PostgreSQL and MySQL say in English: where a driver has no code.
_TEXT = re.compile(r"disk (?:is )?full|no space left|table '.*' is full", re.IGNORECASE)


def lacks_room(error: BaseException) -> bool:
    """Whether an error of a database, as Django raises it, is that of a full disk."""
    if sqlstate(error) == _SQLSTATE:
        return True
    code: Any = getattr(error.__cause__, "sqlite_errorcode", None)  # since Python 3.11
    if isinstance(code, int) and code & 0xFF == _SQLITE:  # without what extends it
        return True
    if isinstance(error, OperationalError | InternalError) and len(error.args) > 1:
        number, text = error.args[:2]
        found = _MYSQL_WITH_CODE.get(number)
        if number in _MYSQL or (found is not None and found.search(str(text))):
            return True
    # Another error may have the text of a row.
    return isinstance(error, OperationalError | InterfaceError | InternalError | OSError) and bool(
        _TEXT.search(str(error))
    )


def sqlstate(error: BaseException) -> str | None:
    """Return the code of PostgreSQL for an error, by the SQL standard's numbers; None if it has none."""
    found: str | None = getattr(error.__cause__, "sqlstate", getattr(error.__cause__, "pgcode", None))
    return found
