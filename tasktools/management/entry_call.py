"""enqueue --entry: what beat would send for an entry of its schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasktools.arguments.call import Call
from tasktools.beat.choice import class_of, require_scheduler, scheduler_of
from tasktools.beat.entries import call_for, entries_of, find
from tasktools.checks.schedule import silenced_kinds
from tasktools.discovery.celery_app import Found
from tasktools.management.base import TasktoolsCommand
from tasktools.management.call_options import calling_options, sender_of
from tasktools.overview.tables import require_tables


def entry_call(command: TasktoolsCommand, found: Found, options: Mapping[str, Any]) -> tuple[Found, Call]:
    """Return the app that sends, and the call of the entry that --entry names. Options that were typed replace the entry's.

    Raises TaskNameError, ConfigurationError, and Unreachable when the scheduler's store does not answer.
    """
    command.load_tasks(found)
    scheduler = scheduler_of(found.app)
    require_scheduler(scheduler, typed=False)
    require_tables("The scheduler", class_of(scheduler))
    planned = find(entries_of(found.app, scheduler), options["entry"])
    if planned.entry is not None:
        command.load_rest_for(planned.entry.task)
    call = call_for(found.app, planned, scheduler, silenced_kinds())
    call = call._replace(options={**call.options, **calling_options(found.app, dict(options))})
    return sender_of(command, found, call.task), call
