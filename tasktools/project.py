"""What start-up found out about the project: one object per process. A test uses its own object (`replaced`)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    beat: BeatPlan = field(default_factory=BeatPlan)
    #: Why beat has ended by itself; None if it has not.
    beat_end: TasktoolsError | None = None


_current = Project()


def current_project() -> Project:
    """Return the project of this process. Start-up changes it, and so does -A on the command line of our own process."""
    return _current


@contextlib.contextmanager
def replaced() -> Iterator[Project]:
    """Replace the current project with a copy, which can be changed, for as long as the context lasts."""
    global _current
    before = _current
    _current = dataclasses.replace(before, problems=list(before.problems))
    try:
        yield _current
    finally:
        _current = before
