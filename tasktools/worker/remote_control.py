"""Remote control of workers that change places: each has a queue of its own, and all answer by the one name of the node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tasktools.celery_compat import CONTROL_QUEUE, MAILBOX

if TYPE_CHECKING:
    from celery import Celery


def separate(app: Celery) -> None:
    """Have the worker of this process listen for remote control in a queue that no other process uses.

    For a moment two workers have the name that `inspect`, events and other tools know. AMQP gives the queue of that name
    to one of them: for itself with Celery 5.7's `control_queue_exclusive`, before that with a warning.
    """
    if app.connection_for_read().transport.driver_type != "amqp":
        return
    CONTROL_QUEUE.wrap(MAILBOX.of(app.control), lambda queue_of: lambda hostname: queue_of(f"{hostname}.{os.getpid()}"))
