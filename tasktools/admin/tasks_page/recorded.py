"""What Django's Tasks framework has kept of a call that it has sent: a plain result has neither the name nor the times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tasktools.admin.tasks_page import words
from tasktools.framework import store
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: How many workers, of as many attempts, are named.
MOST_WORKERS = 5


def read(app: Celery, task_id: str) -> dict[str, Any]:
    """Return the record of the framework; empty if there is none, or if it cannot be read: it only adds to the result."""
    try:
        if not store.can_keep(app.backend):  # nothing has written one, and rpc:// would give away other results
            return {}
        return store.read(app.backend, task_id) or {}
    except Exception:  # noqa: BLE001 - each backend has errors of its own
        return {}


def named(outcome: Outcome, record: Mapping[str, Any]) -> Outcome:
    """Return the outcome with the name and the worker of the task, if they are known from elsewhere."""
    name = outcome.task or str(record.get("task") or "") or None
    workers = record.get("workers")
    known = ", ".join(map(str, workers[-MOST_WORKERS:])) if isinstance(workers, list) else ""
    return replace(outcome, task=name, worker=outcome.worker or known or None)


def times(outcome: Outcome, record: Mapping[str, Any]) -> dict[str, datetime | None]:
    """Return when a task was sent, when it began, when it ended and before when it does not begin, as far as that is known."""
    found = {
        "sent": record.get("enqueued_at"),
        "began": outcome.started or record.get("last_attempted_at"),
        "ended": outcome.date_done if outcome.finished else None,
        "eta": outcome.eta,
    }
    return {name: words.local_or_none(_time(value)) for name, value in found.items()}


def attempts(record: Mapping[str, Any]) -> int:
    """Return how often workers have begun it; 0 if that is not known."""
    workers = record.get("workers")
    return len(workers) if isinstance(workers, list) else 0


def _time(value: Any) -> datetime | None:
    """Return a time of a result. A naive one, as databases have it, is in UTC."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(found, datetime):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
