"""What showschedule reads: the entries of the scheduler in use, when they last ran, and which beat is in charge."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from tasktools import conf
from tasktools.beat.choice import class_of, is_ours, keeps_file, require_scheduler, scheduler_of
from tasktools.beat.entries import entries_of
from tasktools.beat.outlook import EntryInfo, View, outlook
from tasktools.beat.records import LastRun, field_of
from tasktools.beat.state import State, read_state
from tasktools.beat.version import schedule_digest
from tasktools.checks.schedule import silenced_kinds
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ConfigurationError
from tasktools.management.first_lines import require_tables
from tasktools.startup import require_broker

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.management.base import TasktoolsCommand


class Reading:
    """The schedule of an app, whose tasks the command has loaded.

    Raises UsageError, ConfigurationError, and Unreachable when the broker or the store of the scheduler does not answer.
    """

    def __init__(self, command: TasktoolsCommand, found: Found, typed: str | None) -> None:
        self.command = command
        self.app = found.app
        self.scheduler = scheduler_of(found.app, typed)
        require_scheduler(self.scheduler, typed=typed is not None)
        require_tables("The scheduler", class_of(self.scheduler))
        is_eager = bool(found.app.conf.task_always_eager)
        if not is_eager:
            require_broker(found)
        self.state = State(is_known=False) if is_eager else read_state(found.app)
        self.planned = entries_of(found.app, self.scheduler, in_settings(found.app))

    def outlook(self, view: View) -> list[EntryInfo]:
        """Return the entries by name."""
        for task in {each.entry.task for each in self.planned if each.entry is not None}:
            self.command.load_rest_for(str(task))
        view = replace(view, silenced=silenced_kinds())
        return outlook(self.app, self.scheduler, self.planned, self._kept(), view)

    def digest(self) -> str:
        """Return the digest of the schedule of this code."""
        return schedule_digest(self.app.conf.beat_schedule)

    def _kept(self) -> Mapping[str, LastRun] | None:
        """Return when the entries last ran; None if the scheduler's own entries say it."""
        if is_ours(self.scheduler):
            runs = self.state.runs
            return {each.name: runs[field] for each in self.planned if (field := field_of(each.key)) in runs}
        if keeps_file(self.scheduler):
            kept = self._kept_in_file()
            return {each.name: kept[each.key] for each in self.planned if each.key in kept}
        return {} if all(each.source in ("settings", "code") for each in self.planned) else None

    def _kept_in_file(self) -> Mapping[Any, LastRun]:
        from tasktools.beat.kept_runs import kept_runs
        from tasktools.beat.state_file import runtime_place

        configured, data = Path(self.app.conf.beat_schedule_filename), conf.data_dir()
        kept = kept_runs([configured, *(each / configured.name for each in (data, runtime_place(data, _temporary())))])
        if kept.fault:
            hint = "with Redis or Valkey as the broker and CELERY_BEAT_SCHEDULER unset, the broker keeps it"
            self.command.warn(ConfigurationError(kept.fault, hint=hint))
        return kept.runs


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def in_settings(app: Celery) -> set[Any]:
    """Return the names of the entries that Django's settings have. Celery adds those of add_periodic_task to the same object."""
    prefix = getattr(app.conf, "prefix", None) or ""
    schedules = (getattr(settings, name, None) for name in (f"{prefix}BEAT_SCHEDULE", "CELERYBEAT_SCHEDULE"))
    found = next((each for each in schedules if isinstance(each, Mapping)), {})
    return {name for name, fields in found.items() if not _is_added(fields)}


def _is_added(fields: Any) -> bool:
    """Whether app.add_periodic_task has made an entry: no mark tells, but it writes these five fields in this order."""
    return isinstance(fields, dict) and [*fields] == ["schedule", "task", "args", "kwargs", "options"]
