"""A message that does nothing, to each queue, with a stopwatch.

It calls `celery.accumulate`, which every worker of Celery has: without arguments it returns an empty list, and touches
nothing. It is sent only to queues from which a worker takes, or
seems to take. It expires, so that a worker that is busy for longer drops
it; RabbitMQ drops it by itself, and on Redis it is taken back. Its result is deleted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery.app.routes import Router

from tasktools.brokers.keys import Keys
from tasktools.doctor import clocks
from tasktools.doctor.broker import Opened
from tasktools.doctor.findings import Line, error, ok, warning
from tasktools.results.outcome import Outcome, outcome_of

if TYPE_CHECKING:
    from celery import Celery

#: What is called.
TASK = "celery.accumulate"

#: After how many seconds the message is worth nothing.
LIFE = 5

_PAUSE = 0.02


@dataclass(kw_only=True)
class Sent:
    """A message that was sent to a queue."""

    queue: str
    task_id: str
    #: By the monotonic clock.
    sent: float
    outcome: Outcome | None = None
    #: How long it took until the result was here, in seconds, and when that was.
    seconds: float = 0.0
    at: datetime | None = None
    #: "queued", "reserved", or "" if the broker no longer has it; None if nobody knows.
    place: str | None = None


def send(app: Celery, found: Opened, queues: Collection[str], into: list[Sent]) -> None:
    """Send one to each queue, and add it to `into`. Raises what kombu raises."""
    producer = app.amqp.Producer(found.connection, auto_declare=False)
    router = Router((), app.amqp.queues, create_missing=True, app=app)  # without the routers of the project
    more: dict[str, Any] = {"expiration": LIFE} if found.is_amqp else {}
    for queue in sorted(queues):
        task_id, began = str(uuid4()), time.monotonic()
        options = {"expires": LIFE, "retry": False, "ignore_result": False, **more}
        into.append(Sent(queue=queue, task_id=task_id, sent=began))  # before: a late one is taken back too
        app.send_task(TASK, task_id=task_id, queue=queue, producer=producer, router=router, **options)


def collect(app: Celery, sent: Collection[Sent], limit: float, sleep: Callable[[float], object] = time.sleep) -> None:
    """Wait for the results, at most `limit` seconds for all."""
    deadline = time.monotonic() + limit
    while any(each.outcome is None for each in sent) and time.monotonic() < deadline:
        for each in sent:
            if each.outcome is None:
                outcome = outcome_of(each.task_id, app.backend.get_task_meta(each.task_id))
                if outcome.finished:
                    each.outcome, each.seconds = outcome, time.monotonic() - each.sent
                    each.at = datetime.now(timezone.utc)
        sleep(_PAUSE)


def clean(app: Celery, found: Opened, sent: Collection[Sent]) -> None:
    """Take back what nobody has taken, and delete the results."""
    for each in sent:
        if each.outcome is None and found.is_redis:
            each.place = _taken_back(Keys(found.connection.default_channel), each)
        with contextlib.suppress(Exception):  # it expires
            app.backend.forget(each.task_id)


def _taken_back(keys: Keys, sent: Sent) -> str:
    if keys.take_back(sent.queue, sent.task_id):
        return "queued"
    return "reserved" if any(sent.task_id.encode() in message for message in keys.reserved()) else ""


def was_taken(sent: Sent) -> bool:
    """Whether a worker that runs has had the message; known after `clean`."""
    return sent.outcome is not None or sent.place == ""


def lines(sent: Collection[Sent], backend: str, *, ignored: bool = False) -> Iterator[Line]:
    """Yield how long each message took, or why it is not back; `backend` is the result backend of this process.

    `ignored` says that the settings drop results. The message asks for its own, but not each version of Celery listens.
    """
    for each in sent:
        yield _line(each, backend, ignored=ignored)


def _line(sent: Sent, backend: str, *, ignored: bool) -> Line:
    name = f"{sent.queue} stopwatch"
    if sent.outcome is not None and sent.outcome.succeeded:
        return ok(name, "a message that does nothing was run, and its result is here", seconds=sent.seconds)
    if sent.outcome is not None:
        text = f'A message to the queue "{sent.queue}" was not run: its state is {sent.outcome.state}.'
        return error(
            name, text, "compare the clocks: the message expires after five seconds" if _expired(sent) else _LOG
        )
    if sent.place == "" and ignored:
        return ok(name, "not measured: a worker has taken the message, and CELERY_TASK_IGNORE_RESULT drops its result")
    if sent.place == "":
        text = f'A worker has taken a message from the queue "{sent.queue}", and its result is not in {backend}.'
        return error(name, text, "give this process and the workers the same CELERY_RESULT_BACKEND")
    text = f'A message to the queue "{sent.queue}" has not come back in time: its workers are busy, or keep results elsewhere.'
    if sent.place is not None:
        text = f'A message to the queue "{sent.queue}" has not been run in time: its workers are busy, or keep to a rate limit.'
    return warning(name, text, "manage.py celery inspect active shows what they do; start more, or wait")


_LOG = "the log of the worker says why"


def _expired(sent: Sent) -> bool:
    return sent.outcome is not None and sent.outcome.state == "REVOKED"


def clock_lines(sent: Collection[Sent], local: Any) -> Iterator[Line]:
    """Yield the line of the worker's clock, if a result has come with the time at which it was made.

    `local` is the time zone of a time without one.
    """
    for each in sent:
        made = _time(each.outcome.date_done if each.outcome else None, local)
        if made is not None and each.at is not None:
            yield clocks.line(f"the worker that takes from {each.queue}", (made - each.at).total_seconds())
            return


def _time(value: Any, local: Any) -> datetime | None:
    with contextlib.suppress(ValueError, TypeError):
        made = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return made if made.tzinfo else made.replace(tzinfo=local)
    return None
