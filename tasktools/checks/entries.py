"""The entries of CELERY_BEAT_SCHEDULE, as far as they have the form of one. Another check reports the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def entries(schedule: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and the fields of each entry."""
    for name, fields in schedule.items() if isinstance(schedule, Mapping) else ():
        if isinstance(fields, Mapping):
            yield str(name), fields


def options_of(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of an entry."""
    options = fields.get("options")
    return options if isinstance(options, Mapping) else {}
