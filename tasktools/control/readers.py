"""Which workers take from a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools.control import answers
from tasktools.control.namesakes import queues_of

if TYPE_CHECKING:
    from celery import Celery

#: How long workers have to answer, in seconds.
LIMIT = 0.7


def listeners(app: Celery, queue: str) -> list[str]:
    """Return the names of the workers that take from a queue and answer within LIMIT.

    Raises Unreachable when the broker does not answer.
    """
    said = answers.ask(app, {"active_queues": {}}, limit=LIMIT).of("active_queues", list)
    return sorted(name for name, queues in said.items() if queue in (queues_of(queues) or ()))
