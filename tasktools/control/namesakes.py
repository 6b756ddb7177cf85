"""Several workers with one node name: remote control cannot tell them apart, and none of them knows it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tasktools.brokers.timeouts import within_thread
from tasktools.control.answers import Answers, ask
from tasktools.control.names import leaves

if TYPE_CHECKING:
    from celery import Celery

#: How long a worker has to answer at the start of one with its name, in seconds, by the transport of kombu. Redis and Valkey know
#: whether there is such a name: nobody is waited for if not. The workers of other transports may not answer at once.
LIMITS = {"redis": 0.5, "amqp": 0.3}

#: When one that has answered is asked again, in seconds: perhaps it was just about to end.
AGAIN = 1.0

#: How long all of this may take at a start, in seconds, with the connections: a slow broker would delay it by about ten.
OVERALL = 2.5

#: Why it is a mistake, for a sentence.
CONSEQUENCE = "what is sent to one may reach the other, or both"

#: What to do about it, for a sentence.
REMEDY = "give each worker a name of its own: manage.py runworker -n worker2@%h"


def sentence(number: int, name: str) -> str:
    """Return what is wrong with several workers of one name, which must be fit to be printed."""
    return f'{number} workers have the name "{name}": {CONSEQUENCE}.'


def already_runs(app: Celery, name: str, sleep: Callable[[float], object] = time.sleep) -> bool:
    """Whether a worker with this node name answers, and does so again after a moment. One that is replaced does not count.

    After OVERALL seconds it is False: a start does not wait longer for a warning.
    """
    with contextlib.suppress(Exception):  # whoever needs the broker reports what is wrong with it
        return within_thread(OVERALL, _runs, app, name, sleep)
    return False


def _runs(app: Celery, name: str, sleep: Callable[[float], object]) -> bool:
    limit = LIMITS.get(app.connection_for_write().transport.driver_type)
    if limit and app.conf.worker_enable_remote_control and _answers(app, name, limit):
        sleep(AGAIN)
        return _answers(app, name, limit)
    return False


def _answers(app: Celery, name: str, limit: float) -> bool:
    said = ask(app, {"stats": {}}, limit, [name], only_bound=True).of("stats")
    return name in said and not leaves(said[name])


def number_of(answers: Answers, name: str) -> int:
    """Return how many workers are sure to have this name: those whose `stats` have come, without those that another one replaces.

    What one that leaves answers to other commands may come before its `stats`, which alone say that it leaves.
    """
    stats = answers.each.get(name, {}).get("stats", ())
    return max(1, sum(not leaves(each) for each in stats))


def queues_of(answer: Any) -> list[str] | None:
    """Return the names in what a worker answers to `active_queues`; None if that is no list. Anybody may answer anything."""
    if not isinstance(answer, list):
        return None
    names = (each.get("name") for each in answer if isinstance(each, Mapping))
    return [name for name in names if isinstance(name, str)]


def queues_of_all(answers: Answers) -> list[list[str] | None]:
    """Return the queues of each worker that has answered, in the order of their names; None for one that has not said them."""
    return [queues for name in answers.workers for queues in _queues_of(answers, name)]


def _queues_of(answers: Answers, name: str) -> list[list[str] | None]:
    """Return the queues of each worker with this name, as far as any answer shows that it is there.

    Nobody knows which answer is of the one that leaves: where there is one, the first has the queues of all.
    """
    each = answers.each.get(name, {})
    most = max(map(len, each.values()), default=1)
    number = max(1, most - sum(map(leaves, each.get("stats", ()))))
    said = queues_of(answers.said.get(name, {}).get("active_queues"))
    found = [queues_of(answer) for answer in each.get("active_queues", ())] or [said]
    if len(found) > number:
        found = [said, *sorted(found, key=lambda queues: -len(queues or ()))]
    return [*found, *[None] * number][:number]
