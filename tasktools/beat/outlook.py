"""The entries of a schedule as somebody looks at them: when each runs next, when it last ran, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from celery.utils.time import maybe_make_aware

from tasktools.arguments.call import Call
from tasktools.beat.calls import LAZY
from tasktools.beat.choice import class_of, is_ours, is_redbeat
from tasktools.beat.entries import Planned
from tasktools.beat.records import LastRun
from tasktools.beat.schedule import faults
from tasktools.beat.times import Dial, Time, Times, Unanswered, collected, runs
from tasktools.beat.validation import Entry, Fault
from tasktools.beat.words import describe
from tasktools.exceptions import tried
from tasktools.registry.routes import queue_of

if TYPE_CHECKING:
    from celery import Celery

#: How late an entry may be before it counts as overdue, in seconds: a takeover by another beat takes less.
GRACE = 10.0

#: The kinds of faults with which an entry does not run.
_FATAL = ("task", "arguments", "schedule", "options")


@dataclass(frozen=True, kw_only=True)
class EntryInfo:
    """An entry of the schedule, for people."""

    name: str
    task: str
    #: The schedule in words; "" if there is none that can be read.
    when: str
    #: The next times, the first one first.
    next: tuple[Time, ...]
    #: None if it has not run, or nobody knows.
    last_run: datetime | None
    #: The id of that run, "" if it is not known.
    last_id: str
    #: How often it has run; None if nobody knows.
    runs: int | None
    #: When it should have run, if it is late.
    overdue_since: datetime | None
    args: Any
    kwargs: Any
    #: "" if a router needs more than the entry to choose it, or fails.
    queue: str
    #: As the entry has it: seconds, or a time.
    expires: Any
    source: str
    enabled: bool
    #: Why it cannot run, or cannot say when; "" if nothing is known.
    fault: str
    #: Why it is sent, and is likely not to do what is meant.
    doubt: str
    #: What fixes the fault or the doubt.
    hint: str


@dataclass(frozen=True, kw_only=True)
class View:
    """How the schedule is looked at. Its times are in UTC: those of one zone are compared without a change of the clocks."""

    #: The time it is.
    now: datetime
    #: From when on times are wanted; None for now.
    at: datetime | None = None
    #: How many times of each entry.
    count: int = 1
    #: Whether to say the queue of each entry, for which its router is asked.
    with_queues: bool = True
    #: The kinds of faults with which beat sends an entry all the same: their checks are silenced.
    silenced: Collection[str] = ()

    @property
    def fatal(self) -> frozenset[str]:
        """The kinds of faults with which an entry does not run."""
        return frozenset(_FATAL).difference(self.silenced)


def outlook(
    app: Celery, scheduler: str, entries: Iterable[Planned], kept: Mapping[str, LastRun] | None, view: View
) -> list[EntryInfo]:
    """Return what there is to say about `entries`. The tasks must have been imported.

    `scheduler` is the dotted name of its class. `kept` says when the entries last ran; None if the entries know it themselves.
    """
    found: dict[str, list[Fault]] = {}
    for fault in faults(app, scheduler=scheduler):
        found.setdefault(fault.entry, []).append(fault)
    look = _Look(app, scheduler, kept, view)
    return [look.at(each, [*_faults(app, each, found, view.fatal)]) for each in entries]


def grace_of(app: Celery, scheduler: str) -> float:
    """Return how late the last run of an entry may be known, in seconds: some schedulers write it every few minutes."""
    if is_ours(scheduler) or is_redbeat(scheduler) or app.conf.beat_sync_every == 1:
        return GRACE
    return GRACE + float(getattr(class_of(scheduler), "sync_every", 0))


def _faults(app: Celery, planned: Planned, found: Mapping[str, list[Fault]], fatal: Collection[str]) -> Iterator[Fault]:
    """Yield the faults of an entry, those with which it does not run first."""
    own = found.get(planned.name, [])
    if planned.source not in ("settings", "code") and planned.entry is not None:
        own = [*Entry(app, planned.name, {name: getattr(planned.entry, name, None) for name in _FIELDS}).faults()]
    yield from sorted(own, key=lambda fault: fault.kind not in fatal)


_FIELDS = ("task", "schedule", "args", "kwargs", "options")


def _unmade(value: Any) -> Any:
    """Return None for an argument that is made at each tick: making it is code that may do something."""
    return None if isinstance(value, LAZY) else value


def is_enabled(entry: Any) -> bool:
    """Whether an entry is not switched off in its store. In the settings, no entry is."""
    return bool(getattr(entry, "enabled", True) and getattr(getattr(entry, "model", None), "enabled", True))


class _Look:
    """Looks at one entry after the other."""

    def __init__(self, app: Celery, scheduler: str, kept: Mapping[str, LastRun] | None, view: View) -> None:
        self.app = app
        self.kept = kept
        self.view = view
        self.is_ours = is_ours(scheduler)
        self.grace = timedelta(seconds=grace_of(app, scheduler))

    def at(self, planned: Planned, faults: list[Fault]) -> EntryInfo:
        """Return what there is to say about an entry."""
        entry: Any = planned.entry
        fields: Any = self._fields(planned)
        options = fields["options"] if isinstance(fields["options"], Mapping) else {}
        first = faults[0] if faults else Fault(kind="", entry=planned.name, sentence="", hint="")
        is_fatal = first.kind in (_FATAL if entry is None else self.view.fatal)
        last = self._last_run(planned)
        is_asked = entry is not None and is_enabled(entry) and not is_fatal
        times, due = self._times(entry, last) if is_asked else (Times(), None)
        return EntryInfo(
            name=planned.name,
            task=str(fields["task"]),
            when=describe(entry.schedule) if entry is not None else "",
            next=times.times,
            last_run=last.at.astimezone(self.app.timezone) if last is not None and last.count else None,
            last_id=last.task_id if last is not None else "",
            runs=last.count if last is not None else 0 if self.is_ours else None,
            overdue_since=due,
            args=fields["args"],
            kwargs=fields["kwargs"],
            queue=self._queue(fields, options) if self.view.with_queues else "",
            expires=options.get("expires"),
            source=planned.source,
            enabled=is_enabled(entry),
            fault=first.sentence if is_fatal else times.fault,
            doubt="" if is_fatal else first.sentence,
            hint=first.hint,
        )

    def _fields(self, planned: Planned) -> dict[str, Any]:
        """Return the fields of an entry; if it cannot be made, what the settings say."""
        if planned.entry is not None:
            return {name: getattr(planned.entry, name, None) for name in _FIELDS}
        typed: Any = (self.app.conf.beat_schedule or {}).get(planned.key)
        return {name: typed.get(name) if isinstance(typed, Mapping) else None for name in _FIELDS}

    def _last_run(self, planned: Planned) -> LastRun | None:
        if self.kept is not None:
            return self.kept.get(planned.name)
        at = getattr(planned.entry, "last_run_at", None)
        return LastRun(at=maybe_make_aware(at), count=int(planned.entry.total_run_count or 0)) if at else None

    def _queue(self, fields: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        def find() -> str:
            args = tuple(map(_unmade, fields["args"] or ()))
            kwargs = {name: _unmade(value) for name, value in (fields["kwargs"] or {}).items()}
            return queue_of(self.app, Call(task=fields["task"], args=args, kwargs=kwargs, options=options))

        return tried(find, lambda _: "")

    def _times(self, entry: Any, last: LastRun | None) -> tuple[Times, datetime | None]:
        """Return the next times of an entry, and since when it is overdue."""
        now = self.view.now
        try:
            if self.view.at is not None:
                return self._seen_from(entry, last, self.view.at), None
            due = self._due_since(entry, last)
            is_overdue = due is not None and due < now - self.grace
            since = (
                due if due is not None and due < now and not is_overdue else None
            )  # it has run by now, or is about to
            return collected(self._dial(entry, last), now, self.view.count, since=since), due if is_overdue else None
        except Unanswered as error:
            return Times(fault=error.sentence), None

    def _dial(self, entry: Any, last: LastRun | None) -> Dial:
        dial = Dial(entry, self.app, is_ours=self.is_ours)
        if self.kept is not None:
            dial.set_back(last.at if last is not None else self.view.now)
        return dial

    def _due_since(self, entry: Any, last: LastRun | None) -> datetime | None:
        """Return when an entry is due for the first time after its last run; None if nobody knows when that was."""
        if last is None or last.at > self.view.now:
            return None
        start = getattr(getattr(entry, "model", None), "start_time", None)
        begin = max(last.at.astimezone(timezone.utc), start) if start else last.at
        return next((time.at for time in runs(self._dial(entry, last), begin)), None)

    def _seen_from(self, entry: Any, last: LastRun | None, at: datetime) -> Times:
        """Return the times from `at` on, as if beat ran until then. An entry that runs too often until then begins later."""
        begins = [last.at if last is not None else self.view.now, at - timedelta(days=2), at]
        times = Times()
        for begin in begins:
            if begin <= at:
                dial = self._dial(entry, last)
                dial.set_back(begin)
                times = collected(dial, at, self.view.count, since=begin)
                if times.times:
                    break
        return times
