"""The beat schedule of an app, and what in it cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from celery.beat import PersistentScheduler, ScheduleEntry
from celery.utils.imports import symbol_by_name

from tasktools.arguments.names import shown
from tasktools.beat.validation import Entry, Fault
from tasktools.exceptions import ConfigurationError, UsageError
from tasktools.registry.registry import finalize

if TYPE_CHECKING:
    from celery import Celery

#: Where distributions name the schedulers that they bring (celery.bin.beat).
_GROUP = "celery.beat_schedulers"


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
    celerys = _is_celerys(scheduler or app.conf.beat_scheduler, sure=scheduler is not None)
    kept = celerys and keeps_file(scheduler or app.conf.beat_scheduler)
    for key, fields in schedule.items():
        if not isinstance(fields, (Mapping, ScheduleEntry)):
            hint = 'write {"task": ..., "schedule": ...}'
            yield Fault(kind="schedule", entry=str(key), sentence="it is no dictionary", hint=hint)
            continue
        values: Any = fields  # a ScheduleEntry yields its items as a dictionary does
        entry = Entry(app, str(key), dict(values))
        yield from entry.faults()
        if celerys:
            yield from entry.faults_of_celerys(kept=kept)


def keeps_file(scheduler: str) -> bool:
    """Whether the scheduler (a class, by its dotted name) writes the schedule to a file."""
    found = class_of(scheduler)
    return found is not None and issubclass(found, PersistentScheduler)


def require_scheduler(scheduler: str, *, typed: bool) -> None:
    """Raise UsageError (ConfigurationError when it was not `typed`) where beat could not load this class of scheduler."""
    try:
        load(scheduler)
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        kind = UsageError if typed else ConfigurationError
        hint = "name a class with -S, as celery.beat:PersistentScheduler" if typed else "see CELERY_BEAT_SCHEDULER"
        raise kind(f'The scheduler "{shown(str(scheduler))}" cannot be loaded. {why}', hint=hint) from error


def _is_celerys(scheduler: str, *, sure: bool) -> bool:
    """Whether Celery's own class reads the entries. Other classes may take more keys, such as columns of their database.

    Somebody may choose an installed scheduler on the command line of beat, so the settings need not name it.
    """
    found = class_of(scheduler)
    if found is None or getattr(found, "Entry", None) is not ScheduleEntry:
        return False
    return sure or not entry_points(group=_GROUP)


def load(scheduler: str) -> Any:
    """Return what beat loads for this name, which is the name of a class or a name that a distribution registers."""
    return symbol_by_name(scheduler, aliases={each.name: each.value for each in entry_points(group=_GROUP)})


def class_of(scheduler: str) -> type | None:
    """Return the class of a scheduler; None if it cannot be loaded."""
    try:
        found = load(scheduler)
    except (ImportError, AttributeError, ValueError):
        return None  # beat itself reports what is wrong with it
    return found if isinstance(found, type) else None
