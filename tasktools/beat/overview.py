"""What each entry of a schedule is, when it ran, and when it runs next."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasktools.arguments.call import Call
from tasktools.beat.calls import LAZY
from tasktools.beat.choice import OURS
from tasktools.beat.entries import Planned, entries_of
from tasktools.beat.records import LastRun
from tasktools.beat.schedule import faults
from tasktools.beat.times import Dial, Time, Times, Unanswered, collected
from tasktools.beat.words import describe
from tasktools.exceptions import TasktoolsError, tried
from tasktools.registry.routes import queue_of

if TYPE_CHECKING:
    from celery import Celery

#: How late an entry may be before it counts as overdue, in seconds: longer than it takes another beat to take over.
GRACE = 10.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """An entry, as showschedule shows it."""

    name: str
    task: str
    #: In words.
    schedule: str
    #: When it runs next. Aware, in the app's time zone.
    next: tuple[Time, ...]
    #: When it ran last (aware), the id of the task then sent, and how often it has run; None and "" if that is not known.
    last_run: datetime | None
    last_id: str
    runs: int | None
    args: list[Any]
    kwargs: dict[str, Any]
    #: "" if it is not known.
    queue: str
    #: The option of the entry: seconds, or a time.
    expires: Any
    #: Where the entry comes from.
    source: str
    #: Why it cannot run, or why its next time is not known; "" if there is nothing wrong.
    fault: str
    #: Whether it should have run GRACE seconds ago and has not.
    is_overdue: bool


def overview(
    app: Celery,
    scheduler: str,
    runs: Mapping[str, LastRun],
    *,
    now: datetime,
    at: datetime | None = None,
    count: int = 1,
    in_settings: Collection[str] = (),
) -> Iterator[Row]:
    """Yield the entries of `scheduler`, sorted by name, with `count` next times of each, as seen at `at`, by default `now`.

    `runs` is what our own scheduler has noted. Other schedulers note it themselves.

    Raises what `entries_of` raises.
    """
    wrong = {fault.entry: fault.sentence for fault in faults(app, scheduler=scheduler) if fault.kind != "unused"}
    is_ours = scheduler == OURS
    for planned in entries_of(app, scheduler, in_settings):
        last = _last_run(planned, runs, is_ours)
        times, is_overdue = _times(app, planned, last, now, at, count, is_ours)
        yield _row(app, planned, last, times, wrong.get(planned.name) or wrong.get("*", ""), is_overdue)


def matching(rows: Collection[Row], pattern: str) -> list[Row]:
    """Return the rows whose entry or task has `pattern` in its name, or fits it as a pattern with * and ?."""
    glob = pattern if any(char in pattern for char in "*?[") else f"*{pattern}*"
    return [row for row in rows if any(fnmatch.fnmatchcase(name, glob) for name in (row.name, row.task))]


def _last_run(planned: Planned, runs: Mapping[str, LastRun], is_ours: bool) -> LastRun | None:
    """Return when an entry ran last; with no id and the count 0, it is when it was first seen."""
    if is_ours:
        return runs.get(planned.name)
    if planned.source in ("settings", "code") or planned.entry is None:
        return None  # Celery's scheduler keeps it in a file of its own
    at = planned.entry.last_run_at
    if not isinstance(at, datetime):
        return None
    aware: datetime = tried(lambda: planned.entry.schedule.maybe_make_aware(at), lambda _: at)
    return LastRun(at=aware, count=int(planned.entry.total_run_count or 0)) if aware.tzinfo else None


def _times(
    app: Celery, planned: Planned, last: LastRun | None, now: datetime, at: datetime | None, count: int, is_ours: bool
) -> tuple[Times, bool]:
    """Return when an entry runs, and whether it should have run already."""
    if planned.entry is None:
        return Times(), False
    try:
        dial = _dial(app, planned, last, now, is_ours)
        is_overdue = last is not None and dial.ask(now - timedelta(seconds=GRACE))[0]
    except Unanswered as error:
        return Times(fault=error.sentence), False
    seen = at or now
    times = collected(dial, seen, count, since=now if seen > now else None)
    if seen > now and not times.times:  # too many runs until then: it is seen as if it had just run
        dial.set_back(seen)
        times = collected(dial, seen, count)
    return times, is_overdue and not times.fault


def _dial(app: Celery, planned: Planned, last: LastRun | None, now: datetime, is_ours: bool) -> Dial:
    dial = Dial(planned.entry, app, drops_missed=is_ours)
    if is_ours or last is None:
        dial.set_back(last.at if last else now)
    return dial


def _row(app: Celery, planned: Planned, last: LastRun | None, times: Times, fault: str, is_overdue: bool) -> Row:
    entry = planned.entry
    ran = last is not None and last.count > 0
    return Row(
        name=planned.name,
        task=str(getattr(entry, "task", "")),
        schedule=describe(entry.schedule) if entry else "",
        next=times.times,
        last_run=last.at.astimezone(app.timezone) if last and ran else None,
        last_id=last.task_id if last else "",
        runs=last.count if last else None,
        args=list(entry.args or ()) if entry else [],
        kwargs=dict(entry.kwargs or {}) if entry else {},
        queue=_queue(app, entry) if entry else "",
        expires=dict(entry.options or {}).get("expires") if entry else None,
        source=planned.source,
        fault=fault or times.fault,
        is_overdue=is_overdue,
    )


def _queue(app: Celery, entry: Any) -> str:
    """Return the queue of an entry. Its lazy arguments are not made: they are code that may do something."""
    options = dict(entry.options or {})
    args = tuple(None if isinstance(value, LAZY) else value for value in entry.args or ())
    kwargs = {name: None if isinstance(value, LAZY) else value for name, value in dict(entry.kwargs or {}).items()}
    try:
        return str(queue_of(app, Call(task=entry.task, args=args, kwargs=kwargs, options=options)) or "")
    except TasktoolsError:
        return ""
