"""The names of the tasks that workers have: received and not ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasktools.control.answers import ask

if TYPE_CHECKING:
    from celery import Celery

#: `safe` gives the arguments as text: an object of the project would have to be read here.
COMMANDS: Mapping[str, Mapping[str, Any]] = {"active": {"safe": True}, "reserved": {}, "scheduled": {}}


def names_held(app: Celery) -> dict[str, str]:
    """Return by its id the name of each task that a worker which answers has. Raises Unreachable."""
    answers = ask(app, COMMANDS)
    entries = (each for command in COMMANDS for said in answers.of(command, list).values() for each in said)
    return dict(filter(None, map(_named, entries)))


def _named(entry: Any) -> tuple[str, str] | None:
    """Return the id and the name; one that waits for its eta is wrapped in an entry of the schedule."""
    info = entry.get("request", entry) if isinstance(entry, Mapping) else None
    if not isinstance(info, Mapping):
        return None
    task_id, name = info.get("id"), info.get("name")
    return (task_id, name) if isinstance(task_id, str) and isinstance(name, str) else None
