"""What start-up found out about the project: one object per process. A test uses its own object (`replaced`)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasktools.exceptions import TasktoolsError
from tasktools.valkey.server import Home

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found


@dataclass(frozen=True, kw_only=True)
class BeatPlan:
    """How beat runs in this process."""

    #: How long a beat is in charge unless it says that it still is, in seconds.
    lease: float = 1.4
    #: Whether it waits if another beat is in charge.
    stands_by: bool = True
    #: The dotted name of the scheduler that the project has chosen; "" for ours.
    scheduler: str = ""
    #: The file that is locked if the broker has no leases, or gives its user none.
    lock: str = ""
    #: The digest of the project's code.
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of django-extensions."""

    #: The dotted name of its module, which its task and its entry have too.
    name: str
    #: Its class.
    kind: Any
    #: How often it runs, in the words of django-extensions: "hourly", "daily"...; "" if it has no times.
    when: str


@dataclass(kw_only=True)
class Jobs:
    """The jobs of django-extensions."""

    found: tuple[Job, ...] = ()
    #: The app whose tasks they are; None before start-up has found one.
    app: Any = None
    #: What the setting says instead of the usual times, by group or by job.
    times: Mapping[str, Any] = field(default_factory=dict)
    #: Why some of them are no tasks, and what is wrong with the setting.
    problems: list[TasktoolsError] = field(default_factory=list)
    #: The entries of the schedule that are made of them.
    entries: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Jobs:
        """Return jobs that can be changed without these."""
        return dataclasses.replace(self, problems=list(self.problems), entries=dict(self.entries))


@dataclass(kw_only=True)
class Project:
    """The project of this process."""

    #: The Celery app; None before start-up, and if none could be found.
    found: Found | None = None
    #: What went wrong at start-up.
    problems: list[TasktoolsError] = field(default_factory=list)
    #: The private Valkey that the app uses; None if it uses another broker.
    home: Home | None = None
    #: Why there is no broker; every use of one raises it.
    refusal: TasktoolsError | None = None
    #: None if nobody has looked for them yet.
    jobs: Jobs | None = None
    beat: BeatPlan = field(default_factory=BeatPlan)
    #: Why beat has ended by itself; None if it has not.
    beat_end: TasktoolsError | None = None
    #: Whether this process has said why some jobs are no tasks.
    told_jobs: bool = False
    #: Whether this process has said that the table of failed tasks is missing.
    told_missing: bool = False

    @property
    def job_problems(self) -> list[TasktoolsError]:
        """Why some jobs are no tasks, as far as that is known."""
        return self.jobs.problems if self.jobs else []


_current = Project()


def current_project() -> Project:
    """Return the project of this process. Start-up changes it, and so does -A on the command line of our own process."""
    return _current


@contextlib.contextmanager
def replaced() -> Iterator[Project]:
    """Replace the current project with a copy, which can be changed, for as long as the context lasts."""
    global _current
    before = _current
    _current = dataclasses.replace(before, problems=list(before.problems), jobs=before.jobs and before.jobs.copy())
    try:
        yield _current
    finally:
        _current = before
