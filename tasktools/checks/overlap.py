"""W015, and W016 with --deploy: beat can send each entry of the schedule to a queue, and its runs do not pile up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.arguments.names import shown
from tasktools.checks.entries import entries, options_of
from tasktools.discovery.celery_app import Found
from tasktools.registry.registry import has_own

#: The ids that this module can give.
IDS = ("tasktools.W015", "tasktools.W016")

_LIMITS = ("time_limit", "soft_time_limit")

_DAY = 24 * 60


def check(found: Found) -> list[CheckMessage]:
    """Look up the queue of each entry of the settings."""
    app: Any = found.app
    if app.conf.task_create_missing_queues:
        return []
    declared = entries(app.conf.beat_schedule)
    return [message for name, entry in declared for message in _undeclared(app, name, options_of(entry))]


def check_deploy(found: Found) -> list[CheckMessage]:
    """Compare intervals with time limits. The check of the schedule has loaded the tasks, if that is possible.

    A limit is often a safety net, far above the time that the task takes: a developer does not want to read of it each time.
    """
    app: Any = found.app
    if not app.finalized:
        return []
    usual = {name: app.conf[f"task_{name}"] for name in _LIMITS}  # a look-up in the settings takes a while
    messages: list[CheckMessage] = []
    for name, entry in entries(app.conf.beat_schedule):
        task = app.tasks.get(str(entry.get("task")))
        if task is not None and not has_own(task, "apply_async"):
            messages += _piling_up(name, entry.get("schedule"), options_of(entry), task, usual)
    return messages


def _undeclared(app: Any, name: str, options: Mapping[str, Any]) -> Iterator[CheckMessage]:
    queue = options.get("queue")
    if not isinstance(queue, str) or not queue or _is_declared(app, queue):
        return
    sentence = (
        f'The beat schedule\'s entry "{shown(name)}" is never sent: its queue "{shown(queue)}" is not in '
        "CELERY_TASK_QUEUES, and CELERY_TASK_CREATE_MISSING_QUEUES is off."
    )
    hint = f'add Queue("{shown(queue)}") to CELERY_TASK_QUEUES, or choose another queue in the options of the entry'
    yield CheckWarning(sentence, hint=hint, id="tasktools.W015")


def _is_declared(app: Any, queue: str) -> bool:
    queues = app.amqp.queues
    return queue in queues or queue in queues.aliases


def _piling_up(
    name: str, schedule: Any, options: Mapping[str, Any], task: Any, usual: Mapping[str, Any]
) -> Iterator[CheckMessage]:
    """A limit that all tasks have says nothing of this one: only that of the task or of the entry counts."""
    limit, interval = _own_limit(options, task, usual), shortest(schedule)
    if limit is None or interval is None or interval >= limit or options.get("expires", getattr(task, "expires", None)):
        return
    sentence = (
        f'The beat schedule\'s entry "{shown(name)}" is sent every {interval:g} s without "expires", and its task may run '
        f"for {limit:g} s: runs that take longer than the interval pile up in the queue."
    )
    yield CheckWarning(sentence, hint=f'"options": {{"expires": {interval:g}}}', id="tasktools.W016")


def _own_limit(options: Mapping[str, Any], task: Any, usual: Mapping[str, Any]) -> float | None:
    for name in _LIMITS:
        limit = options.get(name, getattr(task, name, None))
        if isinstance(limit, (int, float)) and limit != usual[name]:
            return limit
    return None


def shortest(schedule: Any) -> float | None:
    """Return the shortest time between two runs of a schedule, in seconds; None if it is not known."""
    from celery.schedules import crontab
    from celery.schedules import schedule as every

    kind: Any = type(schedule)
    if kind is every:
        schedule = schedule.run_every
    if isinstance(schedule, timedelta):
        return schedule.total_seconds()
    if isinstance(schedule, (int, float)) and not isinstance(schedule, bool):
        return float(schedule)
    return _gap(schedule.hour, schedule.minute) * 60.0 if kind is crontab else None


def _gap(hours: set[int], minutes: set[int]) -> int:
    """Return the shortest gap between two times of a day, in minutes, as if every day were one of a crontab."""
    times = sorted(hour * 60 + minute for hour in hours for minute in minutes)
    return min(later - earlier for earlier, later in zip(times, [*times[1:], times[0] + _DAY], strict=True))
