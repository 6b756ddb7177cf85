"""The queues: who takes from each, what waits in it, and how long a message that does nothing takes to come back."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tasktools.beat.words import span
from tasktools.brokers.keys import Keys
from tasktools.brokers.portable import queue_length
from tasktools.doctor.broker import Opened
from tasktools.doctor.findings import Line, error, ok, warning

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, kw_only=True)
class Depth:
    """What a broker knows of a queue; None for what it does not."""

    waiting: int | None = None
    consumers: int | None = None


def depth_of(found: Opened, queue: str) -> Depth:
    """Ask the broker for a queue. One that does not exist is empty."""
    if not found.is_amqp:
        return Depth(waiting=queue_length(found.connection, queue) if found.is_cheap else None)
    with found.connection.channel() as channel:  # a new one: an error closes a channel
        try:
            declared = channel.queue_declare(queue, passive=True)
        except found.connection.channel_errors:
            return Depth(waiting=0, consumers=0)
        return Depth(waiting=int(declared.message_count), consumers=int(declared.consumer_count))


def lines(
    queues: Collection[str], used: Collection[str], depths: Mapping[str, Depth], consumers: Mapping[str, int] | None
) -> Iterator[Line]:
    """Yield a line for each queue; tasks go to those of `used`.

    `consumers` says how many workers take from each; None if no worker has answered.
    """
    for queue in sorted(queues):
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


def _given(consumers: Mapping[str, int] | None, queue: str) -> int | None:
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
