"""Find a task that has not run yet: in a queue, with a worker, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from celery.states import PENDING

from tasktools.brokers import broker_of
from tasktools.brokers.base import Trace
from tasktools.brokers.reach import reach
from tasktools.results import backend
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: How long workers have to answer whether they have a task, in seconds.
ANSWER_LIMIT = 0.7


def locate(app: Celery, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes, the pending ones with their place: in a queue, with a worker, or nowhere.

    It asks the broker first, then the workers (this takes ANSWER_LIMIT); a busy solo worker cannot answer. If the queues
    of the broker cannot be read, the place stays None unless a worker has the task.
    """
    pending = [outcome.id for outcome in outcomes if outcome.state == PENDING]
    if not pending:
        return list(outcomes)
    broker = broker_of(app)
    broker.prepare()
    traces = reach(broker.name, backend.LOOK_LIMIT, broker.find, pending) if broker.supports_find else {}
    lost = [task_id for task_id in pending if task_id not in traces or traces[task_id].place != "queued"]
    claims = reach(broker.name, backend.LOOK_LIMIT, _ask_workers, app, lost) if lost else {}
    unknown = "none" if broker.supports_find else None
    return [_placed(outcome, traces, claims, unknown) if outcome.id in pending else outcome for outcome in outcomes]


def listeners(app: Celery, queue: str) -> list[str]:
    """Return the names of the workers that take from a queue and answer within ANSWER_LIMIT.

    Raises Unreachable when the broker does not answer.
    """
    return reach(broker_of(app).name, backend.LOOK_LIMIT, _listeners, app, queue)


def _listeners(app: Celery, queue: str) -> list[str]:
    replies = app.control.inspect(timeout=ANSWER_LIMIT).active_queues() or {}
    return sorted(worker for worker, queues in replies.items() if any(each.get("name") == queue for each in queues))


def _ask_workers(app: Celery, task_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return, for each task that a worker has, that worker and the place that it reports."""
    replies = app.control.inspect(timeout=ANSWER_LIMIT).query_task(*task_ids) or {}
    return {task_id: (worker, found[0]) for worker, tasks in replies.items() for task_id, found in tasks.items()}


def _placed(
    outcome: Outcome, traces: dict[str, Trace], claims: dict[str, tuple[str, str]], unknown: str | None
) -> Outcome:
    worker, place = claims.get(outcome.id, (None, None))
    if place is None:
        place = traces[outcome.id].place if outcome.id in traces else unknown
    return replace(outcome, place=place, worker=worker)
