"""Revoke tasks by remote control: where they are, and which workers confirm."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasktools.brokers import broker_of
from tasktools.brokers.base import Trace
from tasktools.brokers.reach import reach
from tasktools.control.answers import LIMIT, ask

if TYPE_CHECKING:
    from celery import Celery

#: How long the broker may take to look for messages, in seconds.
LOOK_LIMIT = 5.0

#: A worker has it and runs it, has it and has not begun it, or holds it until its time has come.
RUNNING, RESERVED, SCHEDULED = "running", "reserved", "scheduled"
#: It waits in a queue; a worker that does not answer has taken it.
QUEUED, TAKEN = "queued", "taken"
#: There is no trace of it, or the queues of the broker cannot be read.
NONE, UNKNOWN = "none", "unknown"

#: What a worker calls the place of a task.
_PLACES = {"active": RUNNING, "reserved": RESERVED, "ready": RESERVED, "scheduled": SCHEDULED}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A task that is to be revoked, as it was found."""

    id: str
    #: RUNNING, RESERVED, SCHEDULED, QUEUED, TAKEN, NONE or UNKNOWN.
    place: str
    worker: str | None = None
    queue: str | None = None
    task: str | None = None


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What the workers have answered."""

    #: The names of those that have taken note.
    workers: list[str]
    #: The error of each that has not.
    failed: Mapping[str, str] = field(default_factory=dict)
    #: How many listen and have not answered; None if the broker does not say.
    silent: int | None = None


def find(app: Celery, task_ids: Sequence[str], limit: float = LIMIT) -> list[Target]:
    """Return where the tasks are. Raises Unreachable when the broker does not answer."""
    answers = ask(app, {"query_task": {"ids": list(task_ids)}}, limit)
    held = _held(answers.of("query_task", dict))
    broker = broker_of(app)
    rest = [each for each in task_ids if each not in held]
    traces = reach(broker.name, LOOK_LIMIT, broker.find, rest) if rest and broker.supports_find else {}
    nowhere = NONE if broker.supports_find else UNKNOWN
    found = {each: held.get(each) or _traced(each, traces.get(each), nowhere) for each in task_ids}
    doubtful = [each for each, target in found.items() if target.place in (TAKEN, UNKNOWN)]
    return list({**found, **(_scheduled(app, doubtful, limit) if doubtful else {})}.values())


def _scheduled(app: Celery, task_ids: Collection[str], limit: float) -> dict[str, Target]:
    """Return those that workers hold until their time has come. Asked for a task by its id, they say so from Celery 5.7 on."""
    found = {}
    for worker, entries in sorted(ask(app, {"scheduled": {}}, limit).of("scheduled", list).items()):
        for entry in entries:
            info = entry.get("request") if isinstance(entry, Mapping) else None
            if isinstance(info, Mapping) and info.get("id") in task_ids:
                task_id, name = str(info["id"]), info.get("name")
                task = None if name is None else str(name)
                found[task_id] = Target(id=task_id, place=SCHEDULED, worker=worker, task=task)
    return found


def revoke(
    app: Celery, task_ids: Sequence[str], *, terminate: bool = False, signal: str = "SIGTERM", limit: float = LIMIT
) -> Confirmed:
    """Have all workers discard these tasks, and with `terminate` end those that run. Raises Unreachable."""
    more = {"terminate": True, "signal": signal} if terminate else {}
    answers = ask(app, {"revoke": {"task_id": list(task_ids), **more}}, limit)
    failed = {name: said["revoke"] for name, said in sorted(answers.failed.items()) if "revoke" in said}
    return Confirmed(workers=sorted(answers.of("revoke")), failed=failed, silent=answers.silent)


def _held(answers: Mapping[str, Any]) -> dict[str, Target]:
    found = {}
    for worker, tasks in sorted(answers.items()):
        for task_id, answer in tasks.items():
            place, info = answer if isinstance(answer, (list, tuple)) and len(answer) == 2 else (None, None)
            name = info.get("name") if isinstance(info, Mapping) else None
            if place in _PLACES:
                found[task_id] = Target(
                    id=task_id, place=_PLACES[place], worker=worker, task=None if name is None else str(name)
                )
    return found


def _traced(task_id: str, trace: Trace | None, nowhere: str) -> Target:
    if trace is None:
        return Target(id=task_id, place=nowhere)
    place = QUEUED if trace.place == "queued" else TAKEN
    return Target(id=task_id, place=place, queue=trace.queue, task=trace.task)
