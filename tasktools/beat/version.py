"""Digests by which two beats of one app are told apart: of the project's code, and of the schedule."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasktools.exceptions import tried

#: Where an object is in memory: it differs in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def schedule_digest(schedule: object) -> str:
    """Return a digest of CELERY_BEAT_SCHEDULE, the same in each process."""
    entries = schedule.items() if isinstance(schedule, Mapping) else [("", schedule)]
    texts = sorted(f"{name!r} {tried(lambda: repr(_fields(entry)), lambda _: '')}" for name, entry in entries)  # noqa: B023
    return _digest(_ADDRESS.sub("", text).encode(errors="surrogateescape") for text in texts)


def _fields(entry: Any) -> object:
    return sorted((str(key), value) for key, value in dict(entry).items()) if isinstance(entry, Mapping) else entry


def code_digest(root: Path) -> str:
    """Return a digest of the modules below `root` that this process has loaded, those of installed packages excepted."""
    inside = f"{root.resolve()}{os.sep}"
    files = {os.path.realpath(file) for each in list(sys.modules.values()) if (file := getattr(each, "__file__", None))}
    own = sorted(file for file in files if file.startswith(inside) and f"{os.sep}site-packages{os.sep}" not in file)
    parts = []
    for file in own:
        with contextlib.suppress(OSError):
            parts.append(os.fsencode(file[len(inside) :]) + Path(file).read_bytes())
    return _digest(parts)


def _digest(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:12]
