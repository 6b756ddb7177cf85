"""Which tasks wait because their queue is paused, or they themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tasktools.brokers import broker_of
from tasktools.brokers.reach import connect, reach
from tasktools.control.answers import CONNECTING, leaving
from tasktools.queues.aside import PREFIX
from tasktools.queues.kept import paused_now
from tasktools.queues.pauses import QUEUE, TASK
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: How long it may take to read what is paused, in seconds.
LIMIT = 2.0


def marked(app: Celery, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes; those that wait in a paused queue say so, as far as that can be known."""
    if all(each.queue is None for each in outcomes):
        return list(outcomes)
    try:
        broker = broker_of(app)
        with leaving(connection := connect(broker, CONNECTING)):
            pauses = reach(broker.name, LIMIT, paused_now, connection)
    except Exception:  # noqa: BLE001 - where they wait is known all the same
        return list(outcomes)
    paused = {each.key for each in pauses}
    return [replace(each, pause=_pause_of(each, paused)) for each in outcomes]


def _pause_of(outcome: Outcome, paused: set[tuple[str, str]]) -> str:
    """Return what keeps a task waiting: QUEUE, or TASK also before a worker has put it aside; "" for neither."""
    if outcome.queue is None:
        return ""
    if (QUEUE, outcome.queue) in paused:
        return QUEUE
    return TASK if outcome.queue.startswith(PREFIX) or (TASK, outcome.task) in paused else ""
