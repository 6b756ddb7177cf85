"""What taskdoctor looks at without a broker: the app, the settings, the versions, the tasks, the schedule, the checks."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import ERROR as CHECK_ERROR
from django.core.checks import run_checks

from tasktools import conf, startup
from tasktools.beat.choice import class_of, scheduler_of
from tasktools.beat.entries import entries_of
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.checks import TAG
from tasktools.discovery import django_fixup
from tasktools.doctor import failed_tasks, site
from tasktools.doctor.findings import Line, Section, error, of_error, ok, tried, warning
from tasktools.doctor.settings import settings as setting_lines
from tasktools.exceptions import TasktoolsError
from tasktools.overview.schedule import in_settings
from tasktools.overview.tables import require_tables

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand

#: How long the store of the schedule may take, in seconds: it may be a database.
SCHEDULE_LIMIT = 1.5

#: How long the database may take to say whether it has the table of failed tasks, in seconds.
RECORD_LIMIT = 1.5


class Site:
    """A site, as far as it can be looked at without a broker."""

    def __init__(self, command: TasktoolsCommand, typed: str | None) -> None:
        self.command = command
        self.typed = typed
        self.problem: TasktoolsError | None = None
        #: The app; None if there is none, and `problem` says why.
        self.found: Found | None = None
        try:
            self.found = command.find_app(typed)
        except TasktoolsError as error:
            self.problem = error

    def sections(self) -> list[Section]:
        """Return what there is to say."""
        parts: dict[str, list[Line]] = {}
        if self.problem is not None:
            parts["app"] = [of_error("app", self.problem)]
        found = self.found
        if found is not None:
            parts["app"] = tried("app", lambda: site.app_lines(found, typed=self.typed, named=conf.app()))
            parts["settings"] = tried("settings", lambda: setting_lines(found.app, _is_written))
            parts["tasks"] = tried("tasks", lambda: site.task_lines(found, self._loaded(found)))
            parts["schedule"] = tried("schedule", lambda: _schedule(found))
        parts["failed tasks"] = tried("record", _record)
        parts["versions"] = tried("versions", site.version_lines)
        parts["checks"] = tried("checks", _checks)
        return site.sections_of(parts)

    def _loaded(self, found: Found) -> list[TasktoolsError]:
        """Import the tasks that a worker knows, and return what cannot be imported."""
        with contextlib.redirect_stdout(sys.stderr):  # what the modules print is not data
            return [*startup.load_tasks(found), *django_fixup.load_rest(found)]


def _is_written(name: str) -> bool:
    return hasattr(settings, name)


def _schedule(found: Found) -> list[Line]:
    scheduler = scheduler_of(found.app)
    require_tables("The scheduler", class_of(scheduler))
    try:
        planned = within_thread(SCHEDULE_LIMIT, entries_of, found.app, scheduler, in_settings(found.app))
    except TimedOut:
        text = f"The store of the scheduler {scheduler} does not answer within {SCHEDULE_LIMIT:g} s."
        return [error("scheduler", text, "start it, or fix its address in the settings")]
    return site.schedule_lines(scheduler, planned)


def _record() -> list[Line]:
    is_on = bool(conf.chosen("TASKTOOLS_FAILED", True))
    return [failed_tasks.line(is_on=is_on, limit=RECORD_LIMIT)]


def _checks() -> list[Line]:
    """Return the findings of the system checks that are not silenced."""
    is_deployed = not settings.DEBUG
    lines = [
        _finding(message)
        for message in run_checks(tags=[TAG], include_deployment_checks=is_deployed)
        if not message.is_silenced()
    ]
    return lines or [ok("checks", f"no findings{', with those of --deploy' if is_deployed else ''}")]


def _finding(message: Any) -> Line:
    line = error if message.level >= CHECK_ERROR else warning
    return line(str(message.id), str(message.msg), str(message.hint or "see docs/checks.md"))
