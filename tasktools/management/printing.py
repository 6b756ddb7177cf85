"""How a command writes: data to stdout, and messages for people to stderr, escaped and without passwords."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tasktools import render, terminal
from tasktools.exceptions import TasktoolsError
from tasktools.management.layout import Table, drawn
from tasktools.management.streams import StreamCommand

#: So many characters of a line are shown to a person: the message of an error may have megabytes.
LONGEST = 5_000


def console_of(*, no_color: bool) -> Any:
    """Return a console of rich for this terminal."""
    from rich.console import Console

    plain = no_color or "NO_COLOR" in os.environ
    return Console(color_system=None if plain else "auto", highlight=False)


def words_of(text: str, width: int) -> list[str]:
    """Return text as lines of at most so many characters, broken between words where that is possible."""
    return textwrap.wrap(text, max(1, width), break_long_words=False, break_on_hyphens=False) or [""]


def left_out_note(columns: Sequence[str], width: int) -> str:
    return f"Not shown in {width} columns: {', '.join(columns)}. --json shows all."


class PrintingCommand(StreamCommand):
    """Base of a command that writes."""

    #: Whether --json was given.
    as_json = False

    def hide(self, text: str) -> str:
        """Return `text` without the passwords of this project."""
        raise NotImplementedError

    def cleaned(self, text: str) -> str:
        """Return `text` as one line that is safe to show to a person. All text from elsewhere goes through here."""
        return terminal.line(self.hide(text))

    def shortened(self, text: str) -> str:
        """Return the same, without its end if it is very long."""
        line = self.cleaned(text)
        return line if len(line) <= LONGEST else f"{line[:LONGEST]}… and {len(line) - LONGEST:,} more characters"

    def note(self, *lines: str, style: Callable[[str], str] = str) -> None:
        """Write lines for a person to stderr. Each stays one line, whatever is in it. With --json, each is an object."""
        if not lines:  # Django would write an empty line
            return
        if self.as_json:
            written = [render.as_json({"note": self.hide(each)}) for each in lines]
        else:
            written = [style(self.shortened(each)) for each in lines]
        self.stderr.write("".join(f"{each}\n" for each in written), str)

    def note_prose(self, text: str) -> None:
        """Write sentences for a person to stderr: a terminal does not break their words. There is nothing in them to copy."""
        if self.as_json or not self.stderr.isatty():
            self.note(text)
        else:
            self.note(*words_of(self.cleaned(text), shutil.get_terminal_size().columns))

    def note_block(self, text: str) -> None:
        """Write a text of several lines (a traceback) for a person to stderr."""
        if self.as_json:
            self.note(text.rstrip())
        else:
            self.stderr.write(f"{terminal.block(self.hide(text.rstrip()))}\n", str)

    @property
    def is_answered(self) -> bool:
        """Whether a person may answer what `ask` asks."""
        return sys.stdin is not None and sys.stdin.isatty()

    def ask(self, question: str) -> bool:
        """Ask a person a question on stderr; return whether the answer is yes. The end of the input is a no."""
        asked = f"{self.cleaned(question)} [y/N]"
        if self.stderr.isatty():
            asked = "\n".join(words_of(asked, shutil.get_terminal_size().columns))
        self.stderr.write(f"{asked} ", str, ending="")
        self.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def print_line(self, text: str) -> None:
        """Write one line of data."""
        self.stdout.write(terminal.line(text))

    def print_lines(self, lines: Iterable[tuple[str, str, Callable[[str], str]]]) -> None:
        """Write lines of data at once: each a text, a rest in which passwords are hidden, and the style of the rest."""
        written = (f"{terminal.line(text)}{style(self.cleaned(rest)) if rest else ''}\n" for text, rest, style in lines)
        self.stdout.write("".join(written), ending="")
        self.stdout.flush()

    def print_value(self, value: Any) -> None:
        """Write a value: text unchanged, but escaped on a terminal; anything else as JSON."""
        text = render.as_text(value)
        self.stdout.write(terminal.block(text) if self.stdout.isatty() else text)

    def print_json(self, value: Any, *, indent: int | None = 2) -> None:
        self.stdout.write(render.as_json(value, indent=indent))

    def print_drawn(self, *parts: Any, console: Any) -> None:
        """Draw parts of a page for a terminal with a console of rich. What stands in them is escaped already."""
        with console.capture() as captured:
            for part in parts:
                console.print(part)
        self.stdout.write("\n".join(each.rstrip() for each in captured.get().rstrip().splitlines()))

    def print_table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        spare: Sequence[str] = (),
        is_whole: bool = False,
        cut: str = "",
        no_color: bool = False,
    ) -> None:
        """Print a table. A narrow terminal does not get the columns of `spare`, which are named in a note.

        With `is_whole` it gets them below each entry. It shortens the texts of the column `cut`.
        """
        if not self.stdout.isatty():
            self.stdout.write(render.plain_table(columns, rows))
            return
        console = console_of(no_color=no_color)
        made = drawn(Table(columns, rows, spare, is_whole, cut), console.width)
        if made.lines is None:
            self.print_drawn(made.rich, console=console)
        else:  # not by rich: it would break what is longer than a line, and is to be copied
            self.stdout.write("\n".join(made.lines))
        if made.left_out:
            self.note_prose(left_out_note(made.left_out, console.width))

    def warn(self, *problems: TasktoolsError) -> None:
        """Report problems that do not stop the command, on stderr."""
        for problem in problems:
            if self.as_json:
                self.stderr.write(render.error_json(problem, self.hide, key="warning"), str)
            else:
                self.note(*render.error_lines(problem), style=self.style.WARNING)
