"""What taskdoctor prints: a page in sections for a terminal, plain lines for a pipe, one document as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tasktools import terminal
from tasktools.doctor.findings import ERROR, OK, WARNING, Line, Section, count
from tasktools.management.printing import console_of
from tasktools.render import cells

if TYPE_CHECKING:
    from rich.text import Text

    from tasktools.management.base import TasktoolsCommand

#: The colour of each status, as rich calls it.
_STYLES = {OK: "green", WARNING: "yellow", ERROR: "bold red"}

#: How wide the column of the status is, and what is between two columns, in cells of the terminal.
_STATUS, _GAP = 7, 2


@dataclass(frozen=True, kw_only=True)
class Document:
    """What --json prints."""

    #: The worst status of all lines.
    status: str
    errors: int
    warnings: int
    #: Whether broker, backend and workers were asked.
    live: bool
    sections: list[Section]


def document(sections: Iterable[Section], *, live: bool, hide: Callable[[str], str]) -> Document:
    """Return the sections without passwords."""
    shown = [Section(name=each.name, lines=[_hidden(line, hide) for line in each.lines]) for each in sections]
    errors, warnings = count(shown, ERROR), count(shown, WARNING)
    status = ERROR if errors else WARNING if warnings else OK
    return Document(status=status, errors=errors, warnings=warnings, live=live, sections=shown)


def _hidden(line: Line, hide: Callable[[str], str]) -> Line:
    return replace(line, name=hide(line.name), text=hide(line.text), remedy=hide(line.remedy))


def show(command: TasktoolsCommand, found: Document, *, no_color: bool) -> None:
    """Print the document."""
    if command.as_json:
        command.print_json(found)
    elif command.stdout.isatty():
        _draw(command, found, no_color=no_color)
    else:
        for line in _plain(found):
            command.print_line(line)


def summary(found: Document) -> str:
    """Return how many errors and warnings there are, as a sentence."""
    parts = [
        f"{number} {noun}{'' if number == 1 else 's'}"
        for number, noun in ((found.errors, "error"), (found.warnings, "warning"))
        if number
    ]
    return f"{' and '.join(parts)}." if parts else "Nothing is wrong."


def text_of(line: Line) -> str:
    """Return what a line says, with its source and its time."""
    took = f" ({_milliseconds(line.seconds)})" if line.seconds is not None else ""
    return f"{line.text}{took}{f'  [{line.source}]' if line.source else ''}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def _plain(found: Document) -> Iterable[str]:
    for section in found.sections:
        for line in section.lines:
            yield f"{line.status:<7}  {section.name}: {line.name}: {text_of(line)}"
            if line.remedy:
                yield f"{'':<7}  Hint: {line.remedy}"


def _draw(command: TasktoolsCommand, found: Document, *, no_color: bool) -> None:
    from rich.text import Text

    console = console_of(no_color=no_color)
    parts: list[Any] = []
    for section in found.sections:
        parts += [Text(section.name.capitalize(), style="bold"), *_rows(section, console.width), Text()]
    command.print_drawn(*parts, console=console)


def _rows(section: Section, width: int) -> Iterable[Any]:
    """Yield the lines of a section as a table; a text with a word that has no room in its column is below its name."""
    from rich.padding import Padding
    from rich.text import Text

    names = min(max((cells(terminal.line(line.name)) for line in section.lines), default=0), max(12, width // 4))
    for line in section.lines:
        text = Text(terminal.line(text_of(line)), overflow="fold")
        if line.remedy:
            text.append(f"\nHint: {terminal.line(line.remedy)}", style="dim")
        longest = max(map(cells, text.plain.split()), default=0)
        if longest <= width - _STATUS - names - 2 * _GAP:
            yield _row(line, names, text)
        else:  # most likely a path or a URL, which is to be copied
            yield _row(line, names, Text())
            yield Padding(text, (0, 0, 0, _STATUS + _GAP if longest <= width - _STATUS - _GAP else 0))


def _row(line: Line, names: int, text: Text) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column(width=_STATUS, no_wrap=True)
    table.add_column(width=names, overflow="fold")
    table.add_column(overflow="fold")
    table.add_row(Text(line.status, style=_STYLES[line.status]), Text(terminal.line(line.name)), text)
    return table
