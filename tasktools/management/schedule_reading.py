"""What showschedule reads: the entries of the scheduler in use, when they last ran, and which beat is in charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools.beat.outlook import EntryInfo, View
from tasktools.beat.state import State, read_state
from tasktools.beat.version import schedule_digest
from tasktools.discovery.celery_app import Found
from tasktools.overview.schedule import Schedule
from tasktools.startup import require_broker

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand


class Reading:
    """The schedule of an app, whose tasks the command has loaded.

    Raises UsageError, ConfigurationError, and Unreachable when the broker or the store of the scheduler does not answer.
    """

    def __init__(self, command: TasktoolsCommand, found: Found, typed: str | None) -> None:
        self.command = command
        self.app = found.app
        self._schedule = Schedule(found.app, typed)
        self.scheduler = self._schedule.scheduler
        is_eager = bool(found.app.conf.task_always_eager)
        if not is_eager:
            require_broker(found)
        self.state = State(is_known=False) if is_eager else read_state(found.app)
        self.planned = self._schedule.planned()

    def outlook(self, view: View) -> list[EntryInfo]:
        """Return the entries by name."""
        for task in {each.entry.task for each in self.planned if each.entry is not None}:
            self.command.load_rest_for(str(task))
        return self._schedule.outlook(self.planned, self.state, view, self.command.warn)

    def digest(self) -> str:
        """Return the digest of the schedule of this code."""
        return schedule_digest(self.app.conf.beat_schedule)
