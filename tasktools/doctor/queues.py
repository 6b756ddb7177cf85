"""The queues: who takes from each, what waits in it, and how long a message that does nothing takes to come back."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from tasktools.beat.words import span
from tasktools.brokers.keys import Keys
from tasktools.doctor.broker import Opened
from tasktools.doctor.findings import Line, error, ok, warning
from tasktools.queues.depth import Depth, read
from tasktools.queues.pauses import QUEUE, Pause, words

if TYPE_CHECKING:
    from celery import Celery


def ask(found: Opened, queues: Collection[str], into: dict[str, Depth]) -> None:
    """Ask the broker for the queues. One that does not exist is empty; where a look is billed, nothing is known."""
    if found.is_cheap:
        read(found.connection, queues, into)
    else:
        into.update({queue: Depth() for queue in queues})


def lines(
    queues: Collection[str],
    used: Collection[str],
    depths: Mapping[str, Depth],
    consumers: Mapping[str, int | None] | None,
    paused: Collection[str] = (),
) -> Iterator[Line]:
    """Yield a line for each queue that is not paused; tasks go to those of `used`.

    `consumers` says how many workers take from each, and all of it or the number is None if nobody knows.
    """
    for queue in sorted(set(queues) - set(paused)):
        depth = depths.get(queue, Depth())
        number = depth.consumers if depth.consumers is not None else _given(consumers, queue)
        waiting = "" if depth.waiting is None else f", {depth.waiting:,} waiting"
        if number == 0:
            text = f'No worker takes from the queue "{queue}"{waiting}.'
            is_needed = queue in used or bool(depth.waiting)
            yield (error if is_needed else warning)(
                queue, text, f"manage.py runworker -Q {queue}, or send its tasks to another queue"
            )
        elif number is None:
            yield ok(queue, f"its consumers are not known{waiting}")
        else:
            yield ok(queue, f"{number} {'consumer' if number == 1 else 'consumers'}{waiting}")


def paused_lines(pauses: Collection[Pause], depths: Mapping[str, Depth], zone: tzinfo) -> Iterator[Line]:
    """Yield a line for each queue and each task that is paused: it may have been forgotten."""
    for each in pauses:
        waiting = depths.get(each.name, Depth()).waiting if each.what == QUEUE else None
        number = "" if waiting is None else f", {waiting:,} waiting"
        text = f'The {each.what} "{each.name}" is paused {words(each, zone)}{number}.'
        option = "" if each.what == QUEUE else "--task "
        yield warning(each.name, text, f"manage.py resumequeue {option}{each.name}")


def _given(consumers: Mapping[str, int | None] | None, queue: str) -> int | None:
    return None if consumers is None else consumers.get(queue, 0)


def oldest_taken(keys: Keys, visibility: float, now: float) -> Line | None:
    """Return how long a worker of Redis has had the oldest message that it has not acknowledged; None if there is none."""
    found = keys.client.zrange(keys.full(keys.channel.unacked_index_key), 0, 0, withscores=True)
    if not found:
        return None
    age = max(0.0, now - float(found[0][1]))
    text = (
        f"The oldest message that a worker has taken and not acknowledged is {span(timedelta(seconds=round(age)))} old"
    )
    if age < visibility:
        return ok("taken", text)
    late = f"{text}, which is longer than the visibility timeout: it is delivered again."
    remedy = "start a worker, which gives it back; or raise visibility_timeout in CELERY_BROKER_TRANSPORT_OPTIONS"
    return warning("taken", late, remedy)


def names(app: Celery, tasks: Mapping[str, str]) -> set[str]:
    """Return the queues that the app declares, and those to which its tasks go."""
    declared: Any = app.amqp.queues
    return {*map(str, declared), *filter(None, tasks.values())}


def now() -> float:
    """Return the time by which kombu notes when a message was taken."""
    return time.time()
