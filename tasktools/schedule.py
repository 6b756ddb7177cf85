"""The beat schedule of an app, and what in it cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import BaseSchedule
from celery.utils.imports import symbol_by_name

from tasktools.arguments import describe, signature_of
from tasktools.naming import close_matches
from tasktools.registry import finalize, function_of, names


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why an entry of CELERY_BEAT_SCHEDULE cannot run."""

    #: "task", "arguments" or "schedule".
    kind: str
    entry: str
    sentence: str
    hint: str


def faults(app: Any) -> Iterator[Fault]:
    """Yield what cannot run in the schedule of `app`, whose tasks must have been imported.

    Raises ProjectError when one of the tasks cannot be made.
    """
    finalize(app)
    schedule = app.conf.beat_schedule or {}
    if not isinstance(schedule, Mapping):
        hint = 'write CELERY_BEAT_SCHEDULE = {"name": {"task": ..., "schedule": ...}}'
        yield Fault(kind="schedule", entry="*", sentence=f"the schedule is a {type(schedule).__name__}", hint=hint)
        return
    for key, entry in schedule.items():
        yield from _faults_of(app, str(key), entry)


def keeps_file(scheduler: str) -> bool:
    """Whether the scheduler (a class, by its dotted name) writes the schedule to a file."""
    try:
        found = symbol_by_name(scheduler)
    except (ImportError, AttributeError, ValueError):
        return False  # beat itself says what is wrong with it
    return isinstance(found, type) and issubclass(found, PersistentScheduler)


def _faults_of(app: Any, key: str, entry: Any) -> Iterator[Fault]:
    if isinstance(entry, ScheduleEntry):
        entry = {"task": entry.task, "schedule": entry.schedule, "args": entry.args, "kwargs": entry.kwargs}
    if not isinstance(entry, dict):
        yield Fault(
            kind="schedule", entry=key, sentence="it is no dictionary", hint='write {"task": ..., "schedule": ...}'
        )
        return
    name = entry.get("task")
    if not isinstance(name, str) or name not in app.tasks:
        yield Fault(
            kind="task", entry=key, sentence=f'its task "{name}" is not registered', hint=_close(app, str(name))
        )
    else:
        yield from _misfit(app.tasks[name], key, entry)
    yield from _unreadable(key, entry.get("schedule"))


def _misfit(task: Any, key: str, entry: dict[str, Any]) -> Iterator[Fault]:
    signature = signature_of(function_of(task))
    try:
        signature.bind(*(entry.get("args") or ()), **(entry.get("kwargs") or {}))
    except TypeError as error:
        hint = f"{task.name} is called with {describe(signature)}"
        yield Fault(kind="arguments", entry=key, sentence=f'its arguments do not fit "{task.name}": {error}', hint=hint)


def _unreadable(key: str, schedule: Any) -> Iterator[Fault]:
    if isinstance(schedule, bool) or not isinstance(schedule, (int, float, timedelta, BaseSchedule)):
        hint = "give seconds, a timedelta, or a schedule of celery.schedules such as crontab(hour=7)"
        yield Fault(
            kind="schedule", entry=key, sentence=f"its schedule is {schedule!r}, which is no schedule", hint=hint
        )


def _close(app: Any, name: str) -> str:
    close = close_matches(name, names(app))
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "manage.py showtasks lists the registered tasks; if other workers alone know it, silence this check"
