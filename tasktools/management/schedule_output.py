"""What showschedule prints."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from tasktools import render
from tasktools.arguments.names import shown
from tasktools.beat.overview import Row
from tasktools.beat.records import Beat
from tasktools.beat.state import State
from tasktools.exceptions import TasktoolsError
from tasktools.management.base import TasktoolsCommand

COLUMNS = (
    "ENTRY",
    "NEXT",
    "SCHEDULE",
    "LAST RUN",
    "RUNS",
    "TASK",
    "ARGUMENTS",
    "QUEUE",
    "EXPIRES",
    "SOURCE",
    "LAST ID",
)

#: What a narrow terminal does without, the first one first.
SPARE = ("LAST ID", "SOURCE", "EXPIRES", "QUEUE", "RUNS", "ARGUMENTS", "TASK", "LAST RUN")


#: A unit, its seconds, and below how many seconds it is used.
_UNITS = (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 48 * 3600), ("d", 86400, math.inf))


def document(rows: Sequence[Row], state: State) -> dict[str, Any]:
    """Return what --json prints."""
    return {
        "in_charge": state.in_charge and _beat(state.in_charge),
        "standing_by": [_beat(beat) for beat in state.standing_by],
        "is_known": state.is_known,
        "entries": [dataclasses.asdict(row) for row in rows],
    }


def _beat(beat: Beat) -> dict[str, Any]:
    return dataclasses.asdict(beat)


def print_rows(command: TasktoolsCommand, rows: Sequence[Row], now: datetime, *, no_color: bool) -> None:
    """Print the table, and report the entries that cannot run."""
    if rows:
        command.print_table(COLUMNS, list(table(rows, now)), spare=SPARE, no_color=no_color)
    for row in rows:
        if row.fault:
            command.warn(TasktoolsError(f'"{shown(row.name)}" cannot run: {row.fault}.'))


def table(rows: Sequence[Row], now: datetime) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the table, a line for each time."""
    for row in rows:
        yield (
            row.name,
            _following(row, now),
            row.schedule,
            _time(row.last_run, now) if row.last_run else "",
            "" if row.runs is None else f"{row.runs:,}",
            row.task,
            _arguments(row),
            row.queue,
            "" if row.expires is None else str(row.expires),
            row.source,
            row.last_id,
        )
        for time in row.next[1:]:
            yield ("", _time(time.at, now, time.note), *[""] * (len(COLUMNS) - 2))


def _following(row: Row, now: datetime) -> str:
    if row.fault:
        return "cannot run"
    if row.is_overdue:
        return "overdue"
    return _time(row.next[0].at, now, row.next[0].note) if row.next else "never"


def _arguments(row: Row) -> str:
    words = [*map(render.repr_of, row.args), *(f"{name}={render.repr_of(value)}" for name, value in row.kwargs.items())]
    return ", ".join(words)


def _time(at: datetime, now: datetime, note: str = "") -> str:
    local = f"{at:%H:%M:%S}" if at.date() == now.astimezone(at.tzinfo).date() else f"{at:%Y-%m-%d %H:%M:%S}"
    return f"{local} {at:%Z}, {distance((at - now).total_seconds())}{f' ({note})' if note else ''}"


def distance(seconds: float) -> str:
    """Return "in 3 min" or "3 min ago"."""
    length = abs(seconds)
    unit, size = next((unit, size) for unit, size, most in _UNITS if length < most)
    count = f"{length / size:.0f} {unit}"
    return "now" if count == "0 s" else f"in {count}" if seconds > 0 else f"{count} ago"


def say_who(command: TasktoolsCommand, state: State, here: datetime) -> None:
    """Say which beat is in charge, and which stand by."""
    if not state.is_known:
        command.note("Which beat is in charge is not known: this broker does not tell.")
    elif state.is_foreign:
        sentence = "Something else is at the key at which beats say who is in charge."
        command.warn(TasktoolsError(sentence, hint="a beat that starts moves it aside"))
    elif state.in_charge is None:
        command.note("No beat is in charge: nothing is sent. Start one: manage.py runbeat")
    else:
        standing = f" Standing by: {', '.join(_who(beat, here, state.in_charge) for beat in state.standing_by)}."
        command.note(f"In charge: {_who(state.in_charge, here)}.{standing if state.standing_by else ''}")


def _who(beat: Beat, here: datetime, in_charge: Beat | None = None) -> str:
    since = f" since {beat.since.astimezone(here.tzinfo):%Y-%m-%d %H:%M:%S %Z}" if beat.since else ""
    names = {"code": "other code", "schedule": "another schedule"}
    differs = [said for name, said in names.items() if in_charge and getattr(beat, name) != getattr(in_charge, name)]
    return f"{beat}{since}{' with ' if differs else ''}{' and '.join(differs)}"
