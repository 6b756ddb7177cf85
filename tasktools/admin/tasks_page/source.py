"""Where the page gets what it shows: one look for all who have it open, in a process or in all that share a cache."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from django.core.cache import cache, caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache

from tasktools import __version__, conf, startup
from tasktools.admin import project_app
from tasktools.brokers.portable import PortableBroker
from tasktools.brokers.reach import reason_at_end
from tasktools.exceptions import ConfigurationError, ProjectError, TasktoolsError, project_code

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.beat.outlook import EntryInfo
    from tasktools.beat.state import State
    from tasktools.discovery.celery_app import Found
    from tasktools.overview.eye import Eye
    from tasktools.overview.shared import Shared
    from tasktools.overview.snapshot import Snapshot

#: How old what is shown may be before it is looked at again, and before it is not shown any more, in seconds.
FRESH, USABLE = 2.0, 20.0

#: The same for the schedule, which changes with the code.
FRESH_SCHEDULE, USABLE_SCHEDULE = 10.0, 60.0

#: When the schedule is read again after an entry was due: so long after that, and then every FRESH seconds until it shows that
#: the entry has run, but only for so long.
SOON, SETTLING = timedelta(seconds=0.5), timedelta(seconds=10)

#: How long the schedule waits for what beat has left in the broker, in seconds.
_STATE = 0.5


@dataclass(frozen=True, kw_only=True)
class Entries:
    """The schedule as it is shown."""

    entries: list[EntryInfo] = field(default_factory=list)
    #: When it was read.
    at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    #: Why it could not be read.
    trouble: TasktoolsError | None = None

    @property
    def has_run(self) -> bool:
        """Whether the last run of any entry is known."""
        return any(each.last_run for each in self.entries)

    def is_past(self, now: datetime | None = None) -> bool:
        """Whether an entry was due a moment ago, and this does not show yet that it has run."""
        now = now or datetime.now(timezone.utc)
        if (now - self.at).total_seconds() < FRESH:
            return False
        begin, end = self.at - SETTLING, now - SOON
        return any(begin < each.next[0].at <= end for each in self.entries if each.enabled and each.next)


def counts() -> bool:
    """Whether the workers of the site count their tasks for the last hour."""
    return bool(conf.chosen("TASKTOOLS_HOUR", True))


def remote() -> Found:
    """Return the project's app, whose workers can be asked. Raises TasktoolsError if there is none."""
    found = project_app.found()
    startup.require_broker(found)
    if found.app.conf.task_always_eager:
        raise ConfigurationError(
            "CELERY_TASK_ALWAYS_EAGER is set: each task runs in the process that calls it, and there are no workers.",
            hint="unset it outside tests",
        )
    return found


def snapshot(wait: float) -> Snapshot | None:
    """Return what is known of the broker, after at most `wait` seconds. Raises TasktoolsError if it cannot be asked at all."""
    return _looks(remote().app).get(wait)


def entries(wait: float) -> Entries | None:
    """Return the schedule, after at most `wait` seconds; None if it is not known yet."""
    try:
        found = project_app.found()
    except TasktoolsError as error:
        return Entries(trouble=error)
    return _schedules(found).get(wait)


def outdate() -> None:
    """Have everything looked at again: something was changed."""
    found = project_app.found()
    _looks(found.app).outdate()
    _schedules(found).outdate()


@functools.cache
def _looks(app: Celery) -> Shared[Snapshot]:
    from tasktools.overview.eye import Eye
    from tasktools.overview.shared import Shared

    make = functools.partial(_look, Eye(app))
    return Shared(make, fresh=FRESH, usable=USABLE, name=cache_key(app), cache=_shared_cache())


def cache_key(app: Celery) -> str:
    """Return where the look is in a cache: sites may share one, and during a deployment two versions of tasktools do.

    Raises ConfigurationError if the broker cannot be used.
    """
    url = PortableBroker.connection(app).as_uri()  # without its password
    options = app.conf.broker_transport_options or {}
    prefixes = [options.get(name) for name in ("global_keyprefix", "queue_name_prefix")]
    named = repr((__version__, app.main, app.conf.task_default_queue, url, prefixes))
    return f"tasktools:overview:{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def _look(eye: Eye) -> Snapshot:
    from tasktools.overview.snapshot import Snapshot, Trouble

    try:
        with project_code(_unseen):
            return _lean(eye.look())
    except TasktoolsError as error:
        return Snapshot(at=datetime.now(timezone.utc), trouble=Trouble(sentence=error.sentence, hint=error.hint))


def _lean(seen: Snapshot) -> Snapshot:
    """Return a look without what the page does not show: a cache keeps it, and arguments of tasks may be anything."""
    workers = [
        replace(
            each,
            tasks=each.tasks and [replace(task, args="", kwargs="") for task in each.tasks],
            paused=None,
            peak_memory=None,
            celery=None,
            code=None,
            lacks=None,
            has_more=None,
        )
        for each in seen.workers
    ]
    return replace(seen, workers=workers)


@functools.cache
def _schedules(found: Found) -> Shared[Entries]:
    from tasktools.overview.shared import Shared

    make = functools.partial(_entries, found)
    return Shared(
        make, fresh=FRESH_SCHEDULE, usable=USABLE_SCHEDULE, name="tasktools schedule", is_past=Entries.is_past
    )


def _shared_cache() -> Any:
    """Return the site's cache if its processes share it, else None."""
    try:
        is_shared = not isinstance(caches["default"], (DummyCache, LocMemCache))
    except Exception:  # noqa: BLE001 - a site need not have one that works
        return None
    return cache if is_shared else None


def _entries(found: Found) -> Entries:
    from tasktools.beat.outlook import View
    from tasktools.beat.state import State
    from tasktools.overview.schedule import Schedule

    try:
        with project_code(_unreadable):
            startup.require_timezone(found.app)
            startup.load_tasks(found)
            schedule = Schedule(found.app)
            planned = schedule.planned()
            state = _state(found.app) or State(is_known=False)
            view = View(now=datetime.now(timezone.utc), with_queues=False)
            return Entries(entries=schedule.outlook(planned, state, view), at=view.now)
    except TasktoolsError as error:
        return Entries(trouble=error)


def _state(app: Celery) -> State | None:
    """Return what beat has left in the broker; None if that is not known, or the broker cannot be used."""
    if app.conf.task_always_eager:
        return None
    try:
        looks = _looks(app)
    except TasktoolsError:  # the page reports it once
        return None
    seen = looks.get(_STATE)
    return None if seen is None else seen.beat


def _unseen(error: BaseException) -> ProjectError:
    sentence = f"The broker and the workers cannot be looked at: {type(error).__name__}: {reason_at_end(error)}"
    return ProjectError(sentence, hint="manage.py showworkers --traceback shows where")


def _unreadable(error: BaseException) -> ProjectError:
    sentence = f"The schedule cannot be read: {type(error).__name__}: {reason_at_end(error)}"
    return ProjectError(sentence, hint="manage.py showschedule --traceback shows where")
