"""Remote control while one worker replaces another: each has its own queue, and all answer with the same node name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tasktools.celery_compat import CONTROL_QUEUE, MAILBOX

if TYPE_CHECKING:
    from celery import Celery


def separate(app: Celery) -> None:
    """Make the worker of this process listen for remote control in a queue that no other process uses.

    For a moment, two workers have the name that `inspect`, events and other tools know. On AMQP, both would use the queue of
    that name. With Celery 5.7's `control_queue_exclusive` only one of them can; before that, Celery only warns.
    """
    if app.connection_for_read().transport.driver_type != "amqp":
        return
    CONTROL_QUEUE.wrap(MAILBOX.of(app.control), lambda queue_of: lambda hostname: queue_of(f"{hostname}.{os.getpid()}"))
