"""A table for a terminal: side by side what has room, and what has none below it or named. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tasktools import render, terminal

#: How far the lines below an entry are indented, and what is between two columns, in cells of the terminal.
_INDENT, _GAP = 2, 2


class Table(NamedTuple):
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    #: What a narrow terminal does without, the first one first.
    spare: Sequence[str] = ()
    #: Whether a narrow terminal has these columns below each entry: there is something to copy in them.
    is_whole: bool = False
    #: The column whose texts a narrow terminal shortens, so that others have room beside it.
    cut: str = ""


class Drawn(NamedTuple):
    """A table as it is drawn."""

    #: Lines of text, or what rich draws.
    lines: Sequence[str] | None
    rich: Any
    #: The columns that are not shown.
    left_out: Sequence[str]


def drawn(table: Table, width: int) -> Drawn:
    """Return a table for a terminal of `width` characters."""
    kept = render.that_fit(table.columns, table.rows, width, table.spare, table.cut)
    left_out = [name for place, name in enumerate(table.columns) if place not in kept]
    is_tiny = sum(len(table.columns[place]) + 3 for place in kept) > width
    if is_tiny or (table.is_whole and (left_out or _line_width(table, kept) > width)):
        return Drawn(lines=list(entries(table, width)), rich=None, left_out=[])
    whole = render.shortened(table.columns, table.rows, width, kept, table.cut) if table.cut else table.rows
    rows = [[row[place] for place in kept] for row in whole]
    return Drawn(lines=None, rich=render.rich_table([table.columns[place] for place in kept], rows), left_out=left_out)


def entries(table: Table, width: int) -> Iterator[str]:
    """Yield the lines of a table whose columns have no room side by side: nothing is left out, and no cell is broken.

    The columns that have room stand side by side; the others, those of `spare` first, below them with their names.
    """
    kept, widths = _side_by_side(table, width), _widths(table)
    for place, row in enumerate([table.columns, *table.rows]):
        cells = [terminal.line(cell) for cell in row]
        if place or len(kept) > 1:
            yield (" " * _GAP).join(render.padded(cells[each], widths[each]) for each in kept).rstrip()
        if place:
            pairs = [f"{table.columns[each]} {cell}" for each, cell in enumerate(cells) if each not in kept and cell]
            yield from _packed(pairs, width)


def _side_by_side(table: Table, width: int) -> list[int]:
    kept = list(range(len(table.columns)))
    spare = [table.columns.index(name) for name in table.spare]
    for place in [*spare, *(each for each in reversed(kept) if each not in spare)]:
        if len(kept) == 1 or _line_width(table, kept) <= width:
            break
        kept = [each for each in kept if each != place]
    return kept


def _widths(table: Table) -> list[int]:
    lines = [table.columns, *table.rows]
    return [max(render.cells(terminal.line(line[place])) for line in lines) for place in range(len(table.columns))]


def _line_width(table: Table, kept: Sequence[int]) -> int:
    widths = _widths(table)
    return sum(widths[place] + _GAP for place in kept) - _GAP


def _packed(parts: Sequence[str], width: int) -> Iterator[str]:
    """Yield the parts in as few indented lines as they have room in; one that is longer than a line has one for itself."""
    line = ""
    for part in parts:
        if line and _INDENT + render.cells(line) + _GAP + render.cells(part) > width:
            yield " " * _INDENT + line
            line = ""
        line = f"{line}{' ' * _GAP}{part}" if line else part
    if line:
        yield " " * _INDENT + line


class Cropped:
    """Parts of a page for a console of rich: as many lines as it has room for, and how many are left out."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = parts

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.console import Group
        from rich.segment import Segment
        from rich.text import Text

        lines = console.render_lines(Group(*self.parts), options.update(height=None), pad=False)
        room = options.height or console.height
        shown = lines if len(lines) <= room else lines[: max(0, room - 1)]
        for line in shown:
            yield from line
            yield Segment.line()
        if len(shown) < len(lines):
            yield Text(
                render.counted(len(lines) - len(shown), "more line"), style="dim", no_wrap=True, overflow="ellipsis"
            )
