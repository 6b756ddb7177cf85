"""Digests by which two beats of one app are told apart: of the project's code, and of the schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tasktools.environment.code import code_digest, digest
from tasktools.exceptions import tried

__all__ = ["code_digest", "schedule_digest"]

#: Where an object is in memory: it differs in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def schedule_digest(schedule: object) -> str:
    """Return a digest of CELERY_BEAT_SCHEDULE, the same in each process."""
    entries = schedule.items() if isinstance(schedule, Mapping) else [("", schedule)]
    texts = sorted(f"{name!r} {tried(lambda: repr(_fields(entry)), lambda _: '')}" for name, entry in entries)  # noqa: B023
    return digest(_ADDRESS.sub("", text).encode(errors="surrogateescape") for text in texts)


def _fields(entry: Any) -> object:
    return sorted((str(key), value) for key, value in dict(entry).items()) if isinstance(entry, Mapping) else entry
