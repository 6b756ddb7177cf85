"""showqueues --watch: drawn in place in a terminal, one block after the other without one, an object a line with --json."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tasktools import render
from tasktools.management.printing import console_of
from tasktools.management.queue_options import Asked
from tasktools.management.queue_output import show, tables
from tasktools.management.queue_reading import Reading
from tasktools.queues.look import Look

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

#: How long lies between two looks, in seconds, if --interval does not measure meanwhile.
PERIOD = 2.0


def watch(command: TasktoolsCommand, reading: Reading, asked: Asked, *, no_color: bool) -> None:
    """Show the queues until Ctrl+C."""
    if command.stdout.isatty() and not command.as_json:
        _live(command, reading, asked, no_color=no_color)
        return
    is_first = True
    while True:
        seen = reading.look()
        if command.as_json:
            command.print_json({"queues": seen.queues, "is_complete": seen.is_complete}, indent=None)
        else:
            if not is_first:
                command.print_line("")
            show(command, seen, asked, no_color=no_color)
        command.stdout.flush()
        is_first = False
        _pause(asked)


def _live(command: TasktoolsCommand, reading: Reading, asked: Asked, *, no_color: bool) -> None:
    from rich.live import Live

    console = console_of(no_color=no_color)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_page(reading.look(), asked, console), refresh=True)
            _pause(asked)


def _page(seen: Look, asked: Asked, console: Any) -> Any:
    """Return the tables as one thing to draw, without the columns for which the terminal is too narrow."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(f"{time.strftime('%H:%M:%S')}  Ctrl+C ends", style="dim")]
    for table in tables(seen, asked):
        kept = render.that_fit(table.columns, table.rows, console.width, table.spare)
        rows = [[row[place] for place in kept] for row in table.rows]
        parts.append(render.rich_table([table.columns[place] for place in kept], rows))
    return Group(*parts)


def _pause(asked: Asked) -> None:
    if asked.interval is None:
        time.sleep(PERIOD)
