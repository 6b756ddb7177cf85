"""The entries of the schedule: those of the scheduler in use, with what beat has left of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasktools import conf
from tasktools.arguments.call import Call
from tasktools.beat.choice import class_of, is_ours, keeps_file, require_scheduler, scheduler_of
from tasktools.beat.entries import Planned, call_for, entries_of, find
from tasktools.beat.outlook import EntryInfo, View, outlook
from tasktools.beat.records import LastRun, field_of
from tasktools.beat.state import State
from tasktools.checks.schedule import silenced_kinds
from tasktools.exceptions import ConfigurationError, TasktoolsError
from tasktools.overview.tables import require_tables

if TYPE_CHECKING:
    from celery import Celery


class Schedule:
    """The schedule of an app, whose tasks have been imported.

    Raises UsageError, ConfigurationError, and Unreachable when the store of the scheduler does not answer.
    """

    def __init__(self, app: Celery, typed: str | None = None) -> None:
        """`typed` is the class of the scheduler, if beat does not use the one that the settings say."""
        self.app = app
        self.scheduler = scheduler_of(app, typed)
        require_scheduler(self.scheduler, typed=typed is not None)
        require_tables("The scheduler", class_of(self.scheduler))

    def planned(self) -> list[Planned]:
        """Return the entries by name."""
        return entries_of(self.app, self.scheduler, in_settings(self.app))

    def outlook(
        self,
        planned: list[Planned],
        state: State,
        view: View,
        warn: Callable[[TasktoolsError], object] = lambda error: None,
    ) -> list[EntryInfo]:
        """Return what there is to say about the entries. `state` is what beat has left in the broker."""
        view = replace(view, silenced=silenced_kinds())
        return outlook(self.app, self.scheduler, planned, self._kept(planned, state, warn), view)

    def call(self, name: str) -> Call:
        """Return the call that beat would send for an entry now.

        Raises TaskNameError for an unknown name, and ConfigurationError if the entry cannot run.
        """
        return call_for(self.app, find(self.planned(), name), self.scheduler, silenced_kinds())

    def _kept(
        self, planned: list[Planned], state: State, warn: Callable[[TasktoolsError], object]
    ) -> Mapping[str, LastRun] | None:
        """Return when the entries last ran; None if the scheduler's own entries say it."""
        if is_ours(self.scheduler):
            return {each.name: state.runs[field] for each in planned if (field := field_of(each.key)) in state.runs}
        if keeps_file(self.scheduler):
            kept = self._kept_in_file(warn)
            return {each.name: kept[each.key] for each in planned if each.key in kept}
        return {} if all(each.source in ("settings", "code") for each in planned) else None

    def _kept_in_file(self, warn: Callable[[TasktoolsError], object]) -> Mapping[Any, LastRun]:
        from tasktools.beat.kept_runs import kept_runs
        from tasktools.beat.state_file import runtime_place

        configured, data = Path(self.app.conf.beat_schedule_filename), conf.data_dir()
        kept = kept_runs([configured, *(each / configured.name for each in (data, runtime_place(data, _temporary())))])
        if kept.fault:
            hint = "with Redis or Valkey as the broker and CELERY_BEAT_SCHEDULER unset, the broker keeps it"
            warn(ConfigurationError(kept.fault, hint=hint))
        return kept.runs


def in_settings(app: Celery) -> set[Any]:
    """Return the names of the entries that Django's settings have. Celery adds those of add_periodic_task to the same object."""
    names = (f"{getattr(app.conf, 'prefix', None) or ''}BEAT_SCHEDULE", "CELERYBEAT_SCHEDULE")
    written = conf.written(*names)
    found: Mapping[Any, Any] = next((written[name] for name in names if isinstance(written.get(name), Mapping)), {})
    return {name for name, fields in found.items() if not _is_added(fields)}


def _is_added(fields: Any) -> bool:
    """Whether app.add_periodic_task has made an entry: no mark tells, but it writes these five fields in this order."""
    return isinstance(fields, dict) and [*fields] == ["schedule", "task", "args", "kwargs", "options"]


def _temporary() -> Path:
    return Path(tempfile.gettempdir())
