"""Where tasks are that are to be revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from celery.states import PENDING

from tasktools.results.locate import places
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: A worker has it and runs it, has it and has not begun it, or holds it until its time has come.
RUNNING, RESERVED, SCHEDULED = "running", "reserved", "scheduled"
#: It waits in a queue; a worker that does not answer has taken it; a worker knows that it is revoked.
QUEUED, TAKEN, REVOKED = "queued", "taken", "revoked"
#: There is no trace of it; there is none, and not every worker answers; or the queues of the broker cannot be read.
NONE, SILENT, UNKNOWN = "none", "silent", "unknown"

#: By Outcome.place, with a worker.
_PLACES = {"active": RUNNING, "ready": RESERVED}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A task that is to be revoked, as it was found."""

    id: str
    #: RUNNING, RESERVED, SCHEDULED, QUEUED, TAKEN, REVOKED, NONE, SILENT or UNKNOWN.
    place: str
    worker: str | None = None
    queue: str | None = None
    task: str | None = None


def find(app: Celery, task_ids: Sequence[str], limit: float) -> list[Target]:
    """Return where the tasks are; workers have `limit` seconds to answer. Raises Unreachable."""
    located = places(app, [Outcome(id=each, state=PENDING) for each in task_ids], limit=limit)
    return [_target(each) for each in located.outcomes]


def _target(found: Outcome) -> Target:
    place = found.place or NONE
    if place == RESERVED and found.worker is None:
        place = TAKEN
    return Target(id=found.id, place=_PLACES.get(place, place), worker=found.worker, queue=found.queue, task=found.task)
