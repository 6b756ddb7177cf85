"""What showschedule prints: the entries as a table or as JSON, and who sends them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from django.conf import settings

from tasktools import render
from tasktools.arguments.names import shown
from tasktools.beat.outlook import EntryInfo, View
from tasktools.beat.records import Beat
from tasktools.beat.words import span
from tasktools.exceptions import ConfigurationError

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand
    from tasktools.management.schedule_reading import Reading

COLUMNS = ("ENTRY", "WHEN", "NEXT", "LAST RUN", "RUNS", "CALLS", "QUEUE", "EXPIRES", "SOURCE", "LAST ID")

#: What a narrow terminal does without, the first one first.
SPARE = ("LAST ID", "SOURCE", "EXPIRES", "QUEUE", "RUNS", "CALLS", "LAST RUN")


@dataclass(frozen=True, kw_only=True)
class Document:
    """What --json prints."""

    in_charge: Beat | None
    standing_by: list[Beat]
    #: Whether the broker knows the beats.
    is_known: bool
    scheduler: str
    entries: list[EntryInfo]


def show(command: TasktoolsCommand, document: Document, view: View, *, no_color: bool) -> None:
    """Print the entries; what is wrong with them goes to stderr."""
    if command.as_json:
        command.print_json(document)
    elif document.entries:
        rows = [row for entry in document.entries for row in _rows(entry, view)]
        command.print_table(COLUMNS, rows, spare=SPARE, no_color=no_color)
    for entry in document.entries:
        if entry.fault or entry.doubt:
            verdict = "cannot run" if entry.fault else "is sent, but may not do what is meant"
            sentence = f'The entry "{shown(entry.name)}" {verdict}: {entry.fault or entry.doubt}.'
            command.warn(ConfigurationError(sentence, hint=entry.hint))


def introduce(command: TasktoolsCommand, reading: Reading, view: View) -> None:
    """Say on stderr who sends the schedule."""
    state, zone = reading.state, reading.app.timezone
    if state.is_foreign:
        command.warn(
            ConfigurationError(
                "What is where beats keep their lease and last runs was not written by a beat.",
                hint="the next beat that starts or stands by moves it aside",
            )
        )
    if command.as_json:
        return
    if view.at is not None:
        command.note(f"As seen from {view.at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}.")
    if not state.is_known:
        return
    beat = state.in_charge
    if beat is not None:
        command.note(f"In charge: {_introduced(beat, view, zone)}.")
        if beat.schedule and beat.schedule != reading.digest():
            command.note("Its schedule is not that of this code: it is of another version, or has other settings.")
            if settings.DEBUG:  # then it reloads, unless somebody has told it not to
                command.note("If you have just saved a file, beat reloads in a moment: look again.")
    elif not state.is_foreign:
        command.note("No beat is in charge: nothing is sent.")
    for other in sorted(state.standing_by, key=lambda each: (each.since is None, each.since)):
        command.note(f"Standing by: {_introduced(other, view, zone, beat)}.")


def _introduced(beat: Beat, view: View, zone: tzinfo, in_charge: Beat | None = None) -> str:
    """Return who a beat is, and how it differs from the one in charge."""
    since = f", since {_moment(beat.since.astimezone(zone), view.now)}" if beat.since else ""
    names = {"code": "other code", "schedule": "another schedule"}
    differs = [text for name, text in names.items() if in_charge and getattr(beat, name) != getattr(in_charge, name)]
    return f"{beat}{since}{', with ' if differs else ''}{' and '.join(differs)}"


def _rows(entry: EntryInfo, view: View) -> Iterator[Sequence[str]]:
    """Yield a row for each time of an entry; all but the first have only its name and the time."""
    now = view.at or view.now
    last = (
        f"{_moment(entry.last_run, view.now)}, {_distance(entry.last_run - view.now)}"
        if entry.last_run
        else _never(entry)
    )
    calls = shown(f"{entry.task}({', '.join(_arguments(entry))})", 60)
    rest = (calls, entry.queue, _expires(entry.expires), entry.source, entry.last_id)
    nexts = [f"{_moment(time.at, view.now)}, {_distance(time.at - now)}{_marked(time.note)}" for time in entry.next]
    if entry.overdue_since is not None and nexts:
        nexts[0] += f", overdue since {_moment(entry.overdue_since, now)}"
    first, *more = nexts or [_no_time(entry)]
    yield entry.name, entry.when, first, last, "" if entry.runs is None else str(entry.runs), *rest
    for each in more:
        yield entry.name, "", each, *[""] * (len(COLUMNS) - 3)


def _no_time(entry: EntryInfo) -> str:
    if entry.fault:
        return f"cannot run: {entry.fault}"
    return "never again" if entry.enabled else "switched off"


def _never(entry: EntryInfo) -> str:
    return "unknown" if entry.runs is None else "never"


def _arguments(entry: EntryInfo) -> Iterator[str]:
    if isinstance(entry.args, (list, tuple)):
        yield from map(render.repr_of, entry.args)
    if isinstance(entry.kwargs, dict):
        yield from (f"{render.text_of(key)}={render.repr_of(value)}" for key, value in entry.kwargs.items())


def _expires(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, timedelta):
        return span(value)
    is_number = isinstance(value, (int, float)) and abs(value) < 1e9
    return span(timedelta(seconds=value)) if is_number else shown(render.text_of(value))


def _moment(at: datetime, now: datetime) -> str:
    """Return a time with its zone, and with its day if that is not the day of `now`."""
    day = "" if at.date() == now.astimezone(at.tzinfo).date() else f"{at:%Y-%m-%d} "
    return f"{day}{at:%H:%M:%S %Z}"


def _marked(note: str) -> str:
    return f" ({note})" if note else ""


def _distance(length: timedelta) -> str:
    """Return how far a time is: "in 3 min", "2 d 4 h ago". It has two units at most."""
    seconds = abs(length.total_seconds())
    if seconds < 1:
        return "now"
    unit = 1 if seconds < 3600 else 60 if seconds < 86400 else 3600
    text = span(timedelta(seconds=seconds // unit * unit))
    return f"in {text}" if length > timedelta(0) else f"{text} ago"
