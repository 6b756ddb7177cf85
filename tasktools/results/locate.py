"""Find a task that has not run yet, or that will run again: in a queue, with a worker, or nowhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from django.utils.dateparse import parse_datetime

from tasktools.brokers import broker_of
from tasktools.brokers.base import Trace
from tasktools.brokers.reach import reach
from tasktools.results import backend
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: How long workers have to answer whether they have a task, in seconds.
ANSWER_LIMIT = 0.7


class Claim(NamedTuple):
    """What a worker says about a task that it has."""

    worker: str
    place: str
    task: str | None = None


def locate(app: Celery, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes, the waiting ones with their place: in a queue, with a worker, or nowhere.

    It asks the broker first, then the workers (this takes ANSWER_LIMIT); a busy solo worker cannot answer. If the queues
    of the broker cannot be read, the place is "unknown" unless a worker has the task.
    """
    waiting = [outcome.id for outcome in outcomes if outcome.waits]
    if not waiting:
        return list(outcomes)
    broker = broker_of(app)
    broker.prepare()
    traces = reach(broker.name, backend.LOOK_LIMIT, broker.find, waiting) if broker.supports_find else {}
    lost = [task_id for task_id in waiting if task_id not in traces or traces[task_id].place != "queued"]
    claims = reach(broker.name, backend.LOOK_LIMIT, _ask_workers, app, lost) if lost else {}
    timed = [task_id for task_id in claims if claims[task_id].place == "scheduled" and task_id not in traces]
    times = reach(broker.name, backend.LOOK_LIMIT, _ask_times, app, timed) if timed else {}
    times |= {task_id: trace.eta for task_id, trace in traces.items() if trace.eta}
    nowhere = Trace(place="none" if broker.supports_find else "unknown")
    return [
        _placed(each, traces.get(each.id, nowhere), claims.get(each.id), times.get(each.id)) if each.waits else each
        for each in outcomes
    ]


def listeners(app: Celery, queue: str) -> list[str]:
    """Return the names of the workers that take from a queue and answer within ANSWER_LIMIT.

    Raises Unreachable when the broker does not answer.
    """
    return reach(broker_of(app).name, backend.LOOK_LIMIT, _listeners, app, queue)


def _listeners(app: Celery, queue: str) -> list[str]:
    replies = app.control.inspect(timeout=ANSWER_LIMIT).active_queues() or {}
    return sorted(worker for worker, queues in replies.items() if any(each.get("name") == queue for each in queues))


def _ask_workers(app: Celery, task_ids: Sequence[str]) -> dict[str, Claim]:
    replies = app.control.inspect(timeout=ANSWER_LIMIT).query_task(*task_ids) or {}
    return {
        task_id: Claim(worker, place, info.get("name"))
        for worker, tasks in replies.items()
        for task_id, (place, info) in tasks.items()
    }


def _ask_times(app: Celery, task_ids: Collection[str]) -> dict[str, str]:
    """Return when the workers will run these tasks, which wait for their time."""
    replies = app.control.inspect(timeout=ANSWER_LIMIT).scheduled() or {}
    entries = [entry for held in replies.values() for entry in held if entry["request"]["id"] in task_ids]
    return {entry["request"]["id"]: entry["eta"] for entry in entries}


def _placed(outcome: Outcome, trace: Trace, claim: Claim | None, eta: str | None) -> Outcome:
    return replace(
        outcome,
        place=claim.place if claim else trace.place,
        worker=claim.worker if claim else None,
        task=outcome.task or (claim and claim.task) or trace.task,
        eta=_time(eta),
    )


def _time(text: str | None) -> datetime | None:
    try:
        return parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None
