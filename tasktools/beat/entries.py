"""The entries of a schedule, as the scheduler in use has them. They are read; nothing is written, and no lock is taken."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import celery.beat

from tasktools.arguments.call import Call
from tasktools.arguments.names import resolve, shown
from tasktools.beat.calls import call_of
from tasktools.beat.choice import class_of, is_redbeat, load, reads_backend
from tasktools.beat.records import titles
from tasktools.beat.schedule import faults
from tasktools.brokers.reach import chain, reason_at_end
from tasktools.brokers.result_backend import backend_of
from tasktools.exceptions import ConfigurationError, ProjectError, TasktoolsError, Unreachable, project_code, tried
from tasktools.project import current_project
from tasktools.registry.registry import finalize
from tasktools.render import ended

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An entry of a schedule."""

    #: What it is called.
    name: str
    #: Its name as the schedule has it: anything that can be a key of a dictionary.
    key: Any
    #: A celery.beat.ScheduleEntry; None if none can be made of what the settings say. Its last run is what the scheduler keeps,
    #: if it keeps that itself.
    entry: Any
    #: "settings", "jobs" (of django-extensions), "code" (app.add_periodic_task, or the settings of the app in code), "database",
    #: "RedBeat", or the name of a class of a scheduler.
    source: str


def entries_of(app: Celery, scheduler: str, in_settings: Collection[Any] = ()) -> list[Planned]:
    """Return the entries that `scheduler`, a class by its dotted name, has for `app`, sorted by name.

    `in_settings` are the names of the entries in Django's settings.

    Raises Unreachable when the store of the scheduler does not answer, and ConfigurationError when it cannot be read.
    """
    finalize(app)  # which runs code of the project that adds entries
    with project_code(lambda error: _unreadable(scheduler, error)):
        return sorted(_read(app, scheduler, in_settings), key=lambda each: each.name)


def call_for(app: Celery, planned: Planned, scheduler: str, silenced: Collection[str] = ()) -> Call:
    """Return the call that beat would send for an entry now. Faults of the kinds `silenced` do not matter.

    Raises ConfigurationError when the entry cannot run, and ProjectError when an argument that is made at each tick fails.
    """
    for fault in faults(app, scheduler=scheduler):
        matters = planned.entry is None or fault.kind in {"task", "arguments", "options"}.difference(silenced)
        if fault.entry == planned.name and matters:
            sentence = f'The entry "{shown(planned.name)}" cannot be sent: {ended(fault.sentence)}'
            raise ConfigurationError(sentence, hint=fault.hint)
    with project_code(lambda error: _unmade(planned, error)):
        return call_of(planned.entry)


def find(entries: Collection[Planned], typed: str) -> Planned:
    """Return the entry that `typed` stands for: its name, or as much of the end of its dotted name as is unique.

    Raises TaskNameError.
    """
    named = {each.name: each for each in entries}
    return named[resolve(typed, named, noun="entry")]


def _read(app: Celery, scheduler: str, in_settings: Collection[Any]) -> Iterator[Planned]:
    kind: Any = class_of(scheduler) or load(scheduler)
    if is_redbeat(scheduler):
        yield from _of_redbeat(app)
    elif hasattr(kind, "Model"):  # django_celery_beat.schedulers.DatabaseScheduler; all_as_schedule leaves some out
        made = kind(app=app, lazy=True)
        for model in kind.Model.objects.enabled():
            yield Planned(name=model.name, key=model.name, entry=made.Entry(model, app=app), source="database")
    elif getattr(kind, "Entry", None) is celery.beat.ScheduleEntry:
        if reads_backend(app, "celery.beat:Scheduler"):
            backend_of(app)
        made = celery.beat.Scheduler(app, lazy=True)
        made.install_default_entries({})
        for key, name, entry in _titled({**made.schedule, **_of_settings(app)}):
            yield Planned(
                name=name, key=key, entry=entry, source="settings" if key in in_settings else _source_in_code(app, key)
            )
    else:
        for key, name, entry in _titled(kind(app=app, lazy=True).schedule):
            yield Planned(name=name, key=key, entry=entry, source=getattr(kind, "__name__", scheduler))


def _source_in_code(app: Celery, key: Any) -> str:
    jobs = current_project().jobs
    made = jobs.entries.get(key) if jobs and isinstance(key, str) else None
    return "jobs" if made is not None and app.conf.beat_schedule.get(key) is made else "code"


def _titled(schedule: Mapping[Any, Any]) -> Iterator[tuple[Any, str, Any]]:
    return ((key, name, schedule[key]) for key, name in titles(schedule).items())


def _of_settings(app: Celery) -> dict[Any, Any]:
    """Return the entry of each name in CELERY_BEAT_SCHEDULE; None for one that Celery cannot make."""
    found = {}
    for name, fields in (app.conf.beat_schedule or {}).items():
        values: Any = fields

        def make(name: Any = name, values: Any = values) -> Any:
            return celery.beat.ScheduleEntry(**dict(values, name=name, app=app))

        found[name] = tried(make, lambda _: None)
    return found


def _of_redbeat(app: Celery) -> Iterator[Planned]:
    schedulers: Any = import_module("redbeat.schedulers")
    schedulers.ensure_conf(app)
    client = schedulers.get_redis(app)
    conf: Any = app
    for key in client.zrange(conf.redbeat_conf.schedule_key, 0, -1):
        entry = schedulers.RedBeatSchedulerEntry.from_key(key, app=app)
        yield Planned(name=entry.name, key=entry.name, entry=entry, source="RedBeat")


def _unreadable(scheduler: str, error: BaseException) -> TasktoolsError:
    sentence = f'The schedule of "{shown(scheduler)}" cannot be read: {type(error).__name__}: {reason_at_end(error)}'
    if any(isinstance(each, OSError) or "ConnectionError" in type(each).__name__ for each in chain(error)):
        return Unreachable(sentence, hint="start the server of that scheduler, or fix its address in the settings")
    return ConfigurationError(sentence, hint="the same command with --traceback shows where")


def _unmade(planned: Planned, error: BaseException) -> ProjectError:
    sentence = (
        f'The arguments of "{shown(planned.name)}" cannot be made: {type(error).__name__}: {reason_at_end(error)}'
    )
    return ProjectError(sentence, hint="the same command with --traceback shows where")
