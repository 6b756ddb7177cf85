"""What showworkers and revoketask need ahead of the workers: limits, and what this process knows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasktools import every_worker, startup
from tasktools.arguments.durations import parse_duration
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.discovery import django_fixup
from tasktools.exceptions import ArgumentError, ConfigurationError, TasktoolsError
from tasktools.registry import registry
from tasktools.registry.routes import usual_queue

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand

#: How long workers have to answer if --timeout is not given.
DEFAULT_LIMIT = "1s"

#: How long all routers of the project may take, in seconds.
ROUTERS_LIMIT = 1.0


def seconds_of(typed: str) -> float:
    """Return --timeout in seconds. Raises ArgumentError."""
    seconds = parse_duration(typed).total_seconds()
    if not 0 < seconds <= 3600:
        raise ArgumentError(f'--timeout is "{typed}".', hint="give a time such as 1s, an hour at the most")
    return seconds


def require_remote(found: Found) -> None:
    """Raise ConfigurationError if no worker can be asked."""
    startup.require_broker(found)
    if found.app.conf.task_always_eager:
        raise ConfigurationError(
            "CELERY_TASK_ALWAYS_EAGER is set: each task runs in the process that calls it, and no worker is asked.",
            hint="unset it outside tests",
        )


def queues_of_tasks(command: TasktoolsCommand, found: Found) -> Mapping[str, str] | None:
    """Return the queue of each task that a worker of this code knows; None if they cannot be imported or routed."""
    with contextlib.redirect_stdout(sys.stderr):  # what the modules print is not data
        command.load_tasks(found)
        problems = django_fixup.load_rest(found)
    every_worker.know_framework()
    command.warn(*problems)
    if command.is_broken or problems:
        return None
    try:
        return within_thread(ROUTERS_LIMIT, _routed, found.app)
    except (TasktoolsError, TimedOut):
        return None


def _routed(app: Celery) -> dict[str, str]:
    return {name: usual_queue(app, name)[0] for name in registry.names(app)}
