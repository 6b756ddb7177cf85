"""--watch: drawn in place in a terminal, one block after the other without one, an object a line with --json."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tasktools import render
from tasktools.exceptions import Unreachable
from tasktools.management.layout import Cropped, Table, drawn
from tasktools.management.printing import console_of, left_out_note

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

T = TypeVar("T")

#: How long lies between two looks, in seconds.
PERIOD = 2.0

pause = time.sleep


@dataclass(frozen=True, kw_only=True)
class Watched(Generic[T]):
    """What is looked at again and again."""

    look: Callable[[], T]
    #: What to do before the next look, when a look was Unreachable.
    connect: Callable[[], None]
    #: Print a look where nothing is drawn, and return the object that --json prints.
    show: Callable[[T], None]
    document: Callable[[T], Any]
    tables: Callable[[T], Iterable[Table]]
    #: What a person has to know besides.
    notes: Callable[[T], Iterable[str]] = lambda _: ()
    #: How long a look itself takes, in seconds; None if it is to be waited for PERIOD between two of them.
    interval: float | None = None


def watch(command: TasktoolsCommand, watched: Watched[T], *, no_color: bool) -> None:
    """Show it until Ctrl+C. Raises Unreachable only if nobody answers the first time."""
    if command.stdout.isatty() and not command.as_json:
        _live(command, watched, no_color=no_color)
        return
    looks = _looks(watched)
    for place, seen in enumerate(looks):
        if isinstance(seen, Unreachable):
            command.warn(seen)
        elif command.as_json:
            command.print_json(watched.document(seen), indent=None)
        else:
            if place:
                command.print_line("")
            watched.show(seen)
            command.note(*watched.notes(seen))
        command.stdout.flush()


def _looks(watched: Watched[T]) -> Iterator[T | Unreachable]:
    """Yield one look after the other, or why there is none; then it connects again."""
    seen: T | Unreachable = watched.look()
    while True:
        yield seen
        if watched.interval is None or isinstance(seen, Unreachable):
            pause(PERIOD)
        try:
            if isinstance(seen, Unreachable):
                watched.connect()
            seen = watched.look()
        except Unreachable as error:
            seen = error


def _live(command: TasktoolsCommand, watched: Watched[T], *, no_color: bool) -> None:
    from rich.live import Live

    console = console_of(no_color=no_color)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for seen in _looks(watched):
            live.update(_page(command, watched, seen, console), refresh=True)


def _page(command: TasktoolsCommand, watched: Watched[T], seen: T | Unreachable, console: Any) -> Any:
    """Return what to draw: the tables, what is not in them, or what is wrong. What a low terminal has no room for is counted."""
    from rich.text import Text

    head = Text(_head(f"every {watched.interval or PERIOD:g} s", console.width), style="dim")
    if isinstance(seen, Unreachable):
        return Cropped([head, *(Text(command.cleaned(each), style="yellow") for each in render.error_lines(seen))])
    parts: list[Any] = [head]
    for table in watched.tables(seen):
        made = drawn(table, console.width)
        parts.append(made.rich if made.lines is None else Text("\n".join(made.lines), overflow="fold"))
        if made.left_out:
            parts.append(Text(left_out_note(made.left_out, console.width), style="dim"))
    return Cropped([*parts, *(Text(command.cleaned(each)) for each in watched.notes(seen))])


def _head(period: str, width: int) -> str:
    """Return the line above a page, as far as it has room."""
    head = time.strftime("%H:%M:%S")
    for part in (period, "Ctrl+C ends"):
        if len(head) + 2 + len(part) <= width:
            head = f"{head}  {part}"
    return head
