"""The beat schedule of an app, and what in it cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from celery.beat import ScheduleEntry

from tasktools.beat.choice import class_of, keeps_file, may_be_another, scheduler_of
from tasktools.beat.records import titles
from tasktools.beat.validation import Entry, Fault
from tasktools.publishing.options import options_of
from tasktools.registry.registry import finalize

if TYPE_CHECKING:
    from celery import Celery


def faults(app: Celery, *, scheduler: str | None = None) -> Iterator[Fault]:
    """Yield what cannot run in the schedule of `app`, whose tasks must have been imported.

    `scheduler` is the dotted name of the class that beat is started with. Without it, the one in the settings is assumed.

    Raises ProjectError when Celery cannot make one of the tasks.
    """
    finalize(app)
    schedule = app.conf.beat_schedule or {}
    if not isinstance(schedule, Mapping):
        hint = 'write CELERY_BEAT_SCHEDULE = {"name": {"task": ..., "schedule": ...}}'
        yield Fault(kind="schedule", entry="*", sentence=f"the schedule is a {type(schedule).__name__}", hint=hint)
        return
    celerys = _is_celerys(scheduler or app.conf.beat_scheduler)
    known = options_of(app) if celerys else {}
    # Somebody may choose an installed scheduler on the command line of beat, so the settings need not name it. To look for
    # one takes a while: this is done only if there is a fault, and once.
    certain = cache(lambda: scheduler is not None or not may_be_another())
    for key, name in titles(schedule).items():
        fields = schedule[key]
        if not isinstance(fields, (Mapping, ScheduleEntry)):
            hint = 'write {"task": ..., "schedule": ...}'
            yield Fault(kind="schedule", entry=name, sentence="it is no dictionary", hint=hint)
            continue
        values: Any = fields  # a ScheduleEntry yields its items as a dictionary does
        entry = Entry(app, name, dict(values))
        yield from entry.faults()
        if celerys:
            of_celerys = entry.faults_of_celerys(known, kept=lambda: keeps_file(scheduler_of(app, scheduler)))
            yield from (fault for fault in of_celerys if certain())


def _is_celerys(scheduler: str) -> bool:
    """Whether Celery's own class reads the entries. Other classes may take more keys, such as columns of their database."""
    return getattr(class_of(scheduler), "Entry", None) is ScheduleEntry
