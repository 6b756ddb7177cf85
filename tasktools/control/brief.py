"""A look at the workers for somebody who looks often: without the names of all tasks, over a connection that is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tasktools.control.answers import Answers
from tasktools.control.namesakes import number_of, queues_of_all
from tasktools.control.presence import presence
from tasktools.control.workers import COMMANDS, SILENT, UNKNOWN, Look, Worker, looked, online

if TYPE_CHECKING:
    from celery import Celery

#: What the workers are asked for.
BRIEF: Mapping[str, Mapping[str, Any]] = {name: COMMANDS[name] for name in ("stats", "active_queues", "active")}


def look_over(
    app: Celery, connection: Any, answers: Answers, count: Callable[[Collection[str]], Mapping[str, int]] | None = None
) -> Look:
    """Return what the workers have answered to BRIEF. Who is silent is asked over `connection` (kombu's).

    `count` returns how many consumers queues have, if who looks at the queues knows it.
    """
    now = datetime.now(timezone.utc)
    found = [online(name, answers.said.get(name, {}), None, now, number_of(answers, name)) for name in answers.workers]
    taken = [queue for queues in queues_of_all(answers) for queue in queues or ()]
    other = presence(app, answers, taken, (), connection, count)
    found += [Worker(name=name, state=SILENT) for name in other.silent]
    found += [Worker(name=name, state=UNKNOWN) for name in other.unknown]
    return looked(found, other)
