"""showqueues --watch: drawn in place in a terminal, one block after the other without one, an object a line with --json."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tasktools import render
from tasktools.exceptions import Unreachable
from tasktools.management.printing import console_of
from tasktools.management.queue_options import Asked
from tasktools.management.queue_output import show, tables
from tasktools.management.queue_reading import Reading
from tasktools.queues.look import Look

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

#: How long lies between two looks, in seconds, if --interval does not measure meanwhile.
PERIOD = 2.0

pause = time.sleep


def watch(command: TasktoolsCommand, reading: Reading, asked: Asked, *, no_color: bool) -> None:
    """Show the queues until Ctrl+C. Raises Unreachable only if the broker does not answer the first time."""
    if command.stdout.isatty() and not command.as_json:
        _live(command, reading, asked, no_color=no_color)
        return
    for place, seen in enumerate(_looks(reading, asked)):
        if isinstance(seen, Unreachable):
            command.warn(seen)
        elif command.as_json:
            command.print_json({"queues": seen.queues, "is_complete": seen.is_complete}, indent=None)
        else:
            if place:
                command.print_line("")
            show(command, seen, asked, no_color=no_color)
        command.stdout.flush()


def _looks(reading: Reading, asked: Asked) -> Iterator[Look | Unreachable]:
    """Yield one look after the other, or why there is none; then it connects again."""
    seen: Look | Unreachable = reading.look()
    while True:
        yield seen
        if asked.interval is None or isinstance(seen, Unreachable):
            pause(PERIOD)
        try:
            if isinstance(seen, Unreachable):
                reading.connect()
            seen = reading.look()
        except Unreachable as error:
            seen = error


def _live(command: TasktoolsCommand, reading: Reading, asked: Asked, *, no_color: bool) -> None:
    from rich.live import Live

    console = console_of(no_color=no_color)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for seen in _looks(reading, asked):
            live.update(_page(command, seen, asked, console), refresh=True)


def _page(command: TasktoolsCommand, seen: Look | Unreachable, asked: Asked, console: Any) -> Any:
    """Return what to draw: the tables without the columns for which the terminal is too narrow, or what is wrong."""
    from rich.console import Group
    from rich.text import Text

    head = Text(f"{time.strftime('%H:%M:%S')}  every {asked.interval or PERIOD:g} s  Ctrl+C ends", style="dim")
    if isinstance(seen, Unreachable):
        return Group(head, *(Text(command.cleaned(each), style="yellow") for each in render.error_lines(seen)))
    parts: list[Any] = [head]
    for table in tables(seen, asked):
        kept = render.that_fit(table.columns, table.rows, console.width, table.spare)
        rows = [[row[place] for place in kept] for row in table.rows]
        parts.append(render.rich_table([table.columns[place] for place in kept], rows))
    return Group(*parts)
