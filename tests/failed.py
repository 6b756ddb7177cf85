"""Failed tasks in the table, made of real messages as a worker gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils import timezone

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.failures.message import Kept, kept
from tasktools.models import FailedTask, Kind


def message_of(app: Any, queue: str, name: str = "tests.site.tasks.total", *args: Any, **options: Any) -> Any:
    """Send a call to a queue that nobody reads, and return kombu's message as a consumer gets it."""
    app.send_task(name, args, queue=queue, **options)
    return taken(app, queue)


def taken(app: Any, queue: str) -> Any:
    """Take the next message from a queue as a consumer does; it is acknowledged."""
    with app.connection_for_write() as connection, connection.channel() as channel:
        message = channel.basic_get(queue, no_ack=True)
        assert message is not None
        return channel.message_to_python(message)


def fail(message: Any, *, queue: str = "", **fields: Any) -> FailedTask:
    """Return the row of a task that failed: what a worker writes of this message."""
    found = message if isinstance(message, Kept) else kept(message)
    values: dict[str, Any] = {
        "task_id": found.headers.get("id", ""),
        "task": found.headers.get("task", ""),
        "kind": Kind.RAISED,
        "exception": "builtins.ValueError",
        "reason": "nothing works",
        "traceback": "Traceback (most recent call last):\nValueError: nothing works",
        "arguments": json.dumps({"args": [], "kwargs": {}}),
        "queue": queue,
        "worker": "celery@host",
        "failed_at": timezone.now(),
        "message": found.text(),
        "body": found.body,
    }
    return FailedTask.objects.create(**{**values, **fields})


@contextmanager
def keys_of(app: Any) -> Iterator[Keys]:
    """Give the keys of the app's broker."""
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as connection:
        yield Keys(connection.default_channel)


def waiting(app: Any, queue: str) -> list[dict[str, Any]]:
    """Return the messages that wait in a queue as kombu has written them, the oldest first."""
    with keys_of(app) as keys:
        found = [json.loads(raw) for key in keys.lists(queue) for raw in keys.client.lrange(key, 0, -1)]
    return list(reversed(found))
