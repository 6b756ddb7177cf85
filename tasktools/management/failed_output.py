"""What showfailed prints of many: failed tasks as a table, or groups of them; or JSON."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from tasktools import render, terminal
from tasktools.failures.found import Group, aware
from tasktools.models import FailedTask

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

COLUMNS = ("ROW", "FAILED AT", "TASK", "WHY", "STATE", "ID", "QUEUE", "HOW", "EARLIER", "WORKER")

#: What a narrow terminal does without, the first one first.
SPARE = ("WORKER", "EARLIER", "HOW", "QUEUE", "ID", "STATE")

GROUP_COLUMNS = ("COUNT", "LAST", "TASK", "EXCEPTION", "FIRST")

#: How much of an exception and its reason stands in a narrow terminal at the least, in cells.
_SHORTEST_WHY = 10

#: What stands between two columns, and after the last one.
_GAP = 3

_TIMES = ("sent_at", "started_at", "failed_at", "sent_again_at", "mended_at")


@dataclass(frozen=True, kw_only=True)
class Info:
    """A failed task without what is long."""

    row: int
    id: str
    task: str
    how: str
    state: str
    exception: str
    reason: str
    queue: str
    worker: str
    sent_at: datetime | None
    started_at: datetime | None
    failed_at: datetime | None
    retries: int
    failures: int
    retry_of: str
    new_id: str
    sent_by: str
    sent_again_at: datetime | None
    mended_at: datetime | None


def info_of(row: FailedTask, zone: tzinfo) -> Info:
    values = {name: getattr(row, name) for name in Info.__dataclass_fields__ if hasattr(row, name)}
    times = {name: at_of(values[name], zone) for name in _TIMES}
    return Info(**{**values, **times, "row": row.pk, "id": row.task_id, "how": row.kind})


def show_rows(
    command: TasktoolsCommand, rows: Sequence[FailedTask], more: int, zone: tzinfo, options: Mapping[str, Any]
) -> None:
    """Print rows; `more` is how many there are besides. If a state was asked for, the column is shown in any case."""
    if command.as_json:
        command.print_json([info_of(each, zone) for each in rows])
    elif rows:
        spare = [name for name in SPARE if name != "STATE"] if options["state"] else SPARE
        lines: list[Sequence[str]] = [_cells(command, each, zone) for each in rows]
        if command.stdout.isatty():
            lines = _cut(lines, spare, shutil.get_terminal_size().columns)
        command.print_table(COLUMNS, lines, spare=spare, no_color=options["no_color"])
    if more and not command.as_json:
        is_one = "is one more" if more == 1 else f"are {more:,} more"
        command.note(f"There {is_one}: --limit shows them, --group counts them.")


def show_groups(command: TasktoolsCommand, groups: Sequence[Group], zone: tzinfo, *, no_color: bool) -> None:
    if command.as_json:
        command.print_json(groups)
        return
    rows = [
        (f"{each.count:,}", text_of(each.last_at, zone), each.task or "?", each.exception, text_of(each.first_at, zone))
        for each in groups
    ]
    if rows:
        command.print_table(GROUP_COLUMNS, rows, spare=("FIRST",), no_color=no_color)


def _cells(command: TasktoolsCommand, row: FailedTask, zone: tzinfo) -> tuple[str, ...]:
    name = row.exception.rpartition(".")[2]
    reason = command.hide(" ".join(row.reason.split()))
    return (
        f"#{row.pk}",
        text_of(row.failed_at, zone),
        row.task or "?",
        ": ".join(filter(None, (name, reason))),
        row.state,
        row.task_id,
        row.queue,
        row.kind,
        str(row.failures),
        row.worker,
    )


def _cut(lines: Sequence[Sequence[str]], spare: Sequence[str], width: int) -> list[Sequence[str]]:
    """Return the lines for a terminal: what its other columns leave is for the exception and its reason."""
    why = COLUMNS.index("WHY")
    kept = render.that_fit(COLUMNS, lines, width, spare)
    others = {
        each: max(render.cells(terminal.line(line[each])) for line in (COLUMNS, *lines)) for each in kept if each != why
    }
    folded = {
        each: cells if COLUMNS[each] in spare else min(cells, render.LONGEST_CELL) for each, cells in others.items()
    }
    room = max(_SHORTEST_WHY, width - sum(folded.values()) - _GAP * len(kept))
    return [[*line[:why], render.beginning(terminal.line(line[why]), room), *line[why + 1 :]] for line in lines]


def at_of(value: datetime | None, zone: tzinfo) -> datetime | None:
    return None if value is None else aware(value).astimezone(zone)


def text_of(value: datetime | None, zone: tzinfo) -> str:
    found = at_of(value, zone)
    return "" if found is None else f"{found:%Y-%m-%d %H:%M:%S}"
