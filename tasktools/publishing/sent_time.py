"""When a message was sent: the property `timestamp` that AMQP has for it, in seconds since the epoch.

Celery leaves it out. Without it, nobody can say how long a message has waited (showqueues). Workers do not look at it.
"""

from __future__ import annotations

import time
from typing import Any

from celery import signals

from tasktools.celery_compat import LIVE_RECEIVERS

#: The name of the property.
TIMESTAMP = "timestamp"


def start() -> None:
    """Have Celery put the time into each message of a task that this process sends."""
    signals.before_task_publish.connect(stamp, weak=False, dispatch_uid="tasktools.sent_time")


def stamp(properties: Any, **_: Any) -> None:
    """Put the time into the properties of a message, unless the project has chosen one. A receiver of before_task_publish."""
    properties.setdefault(TIMESTAMP, int(time.time()))


def is_received(signal: Any, name: str) -> bool:
    """Whether a signal has a receiver, besides `stamp`, for the messages of the task with this name."""
    return any(each is not stamp for each in LIVE_RECEIVERS.of(signal)(name))
