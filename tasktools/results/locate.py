"""Find a task that has not run yet, or that will run again: in a queue, with a worker, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
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
    eta: str | None = None


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
    if not broker.supports_find and any(each not in claims or claims[each].place == "scheduled" for each in lost):
        claims |= reach(broker.name, backend.LOOK_LIMIT, _ask_scheduled, app, lost)
    nowhere = Trace(place="none" if broker.supports_find else "unknown")
    return [
        _placed(each, traces.get(each.id, nowhere), claims.get(each.id)) if each.waits else each for each in outcomes
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


def _ask_scheduled(app: Celery, task_ids: Sequence[str]) -> dict[str, Claim]:
    """Return those of the tasks that workers hold until their time has come.

    A worker also says so when it is asked for a task by its id, but without the time, from Celery 5.7 on, and not of a task
    that it has run and will run again.
    """
    replies = app.control.inspect(timeout=ANSWER_LIMIT).scheduled() or {}
    entries = [(worker, entry["request"], entry["eta"]) for worker, held in replies.items() for entry in held]
    return {
        request["id"]: Claim(worker, "scheduled", request.get("name"), eta)
        for worker, request, eta in entries
        if request["id"] in task_ids
    }


def _placed(outcome: Outcome, trace: Trace, claim: Claim | None) -> Outcome:
    return replace(
        outcome,
        place=claim.place if claim else trace.place,
        worker=claim.worker if claim else None,
        task=outcome.task or (claim and claim.task) or trace.task,
        eta=_time((claim and claim.eta) or trace.eta),
    )


def _time(text: str | None) -> datetime | None:
    try:
        return parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None
