"""Whether a database has refused something because its disk is full: by its codes, as texts come in the language of the server."""

from __future__ import annotations

import re
from typing import Any

#: PostgreSQL's code (disk_full), and SQLite's (SQLITE_FULL).
_SQLSTATE = "53100"
_SQLITE = 13

#: MySQL's codes (ER_DISK_FULL, ER_RECORD_FILE_FULL), and those that have the code of the system within the text (ER_GET_ERRNO,
#: ER_ERROR_ON_WRITE, EE_WRITE), which is the same on Linux and macOS for "no space left" (ENOSPC).
_MYSQL = (1021, 1114)
_MYSQL_WITH_CODE = (1030, 1026, 3)
_ENOSPC = re.compile(r"\b28\b")

#: What SQLite, PostgreSQL and MySQL say in English: where a driver has no code.
_TEXT = re.compile(r"disk (?:is )?full|no space left|table '.*' is full", re.IGNORECASE)


def lacks_room(error: BaseException) -> bool:
    """Whether an error of a database, as Django raises it, is that of a full disk."""
    if sqlstate(error) == _SQLSTATE:
        return True
    code: Any = getattr(
        error.__cause__, "sqlite_errorcode", None
    )  # since Python 3.11; the low byte of an extended code
    if isinstance(code, int) and code & 0xFF == _SQLITE:
        return True
    number, text = error.args[0] if error.args else None, " ".join(map(str, error.args[1:]))
    if number in _MYSQL or (number in _MYSQL_WITH_CODE and _ENOSPC.search(text)):
        return True
    return _TEXT.search(str(error)) is not None


def sqlstate(error: BaseException) -> str | None:
    """Return the code of PostgreSQL for an error, by the SQL standard's numbers; None if it has none."""
    found: str | None = getattr(error.__cause__, "sqlstate", getattr(error.__cause__, "pgcode", None))
    return found
