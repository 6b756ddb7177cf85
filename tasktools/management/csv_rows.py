"""Lines -> rows of CSV: a row continues while a quote is open, by the rules of Python's csv module."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from tasktools.arguments.names import shown
from tasktools.exceptions import ArgumentError
from tasktools.management.input_lines import LONGEST_LINE, Line

#: Most lines of one row. If a quote is never closed, everything after it is one row.
MOST_LINES = 100_000


class Row(NamedTuple):
    """A row of the input."""

    #: The lines on which it begins and ends, from 1.
    number: int
    last: int
    #: Its lines without the end of the last one; None for a row that is too long.
    data: bytes | None
    #: Why nothing after this row can be read; "" for a row that ends.
    endless: str = ""


#: What may stand between two cells, the usual one first, and its name. Spreadsheets of many languages write semicolons.
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

#: How some spreadsheets name it, as the first line.
_NAMED = re.compile(rb"(?:\xef\xbb\xbf)?\"?sep=(.)\"?\s*$", re.IGNORECASE)

_NAME_IT = "name the one that stands between the cells: --delimiter CHAR"


def delimited(lines: Iterator[Line | None], typed: str | None) -> tuple[str, Iterator[Line | None]]:
    """Return the delimiter and the lines that are rows: the one that was typed, or named (`sep=;`), or the header shows.

    Raises ArgumentError for a delimiter that is none.
    """
    if typed is not None and not _may_divide(typed):
        what = "give one character, as in --delimiter ';', or $'\\t' for a tab"
        raise ArgumentError(f'--delimiter "{shown(typed)}" is none.', hint=what)
    first = next((line for line in lines if line is not None), None)
    if first is None:
        return typed or ",", iter(())
    named = _NAMED.match(first.data or b"")
    if named:
        between = typed or named[1].decode("latin-1")
        if not _may_divide(between):
            raise ArgumentError(
                f'The first line names "{shown(between)}" as the delimiter, which is none.', hint=_NAME_IT
            )
        return between, lines
    return typed or _seen_in(first.data or b""), itertools.chain([first], lines)


def _may_divide(typed: str) -> bool:
    return len(typed) == 1 and typed.isascii() and typed not in '"\r\n' and not typed.isalnum()


def _seen_in(header: bytes) -> str:
    """Return the delimiter that a header shows. A name has none of them, unless it is quoted."""
    bare = re.sub(rb'"[^"]*"', b"", header)
    return next((each for each in DELIMITERS if each.encode() in bare), ",")


def rows(lines: Iterator[Line | None], delimiter: str = ",") -> Iterator[Row | None]:
    """Yield the rows; None if no line has come for a while. Empty lines between rows are skipped.

    If a quote is not closed, or not within the longest row, the last row is `endless`: nobody knows where the next row
    begins.
    """
    builder = _Builder(delimiter.encode())
    for line in lines:
        if line is None:
            yield None
            continue
        row = builder.add(line)
        if row is not None:
            yield row
            if row.endless:
                return
    if builder.parts:
        yield builder.endless("is never closed", builder.last)


def cells(text: str, delimiter: str = ",") -> list[str]:
    """Return the cells of one row. Raises ArgumentError."""
    if csv.field_size_limit() < LONGEST_LINE:
        csv.field_size_limit(LONGEST_LINE)
    try:
        return next(csv.reader([text], strict=True, delimiter=delimiter))
    except (csv.Error, StopIteration) as error:
        raise ArgumentError(f"it is no row of CSV: {error}.") from None


class _Builder:
    """Puts the lines of a row together."""

    def __init__(self, delimiter: bytes) -> None:
        self.delimiter = delimiter
        #: Each line, followed by its end.
        self.parts: list[bytes] = []
        self.size = 0
        self.first = self.last = self.opened = 0

    def add(self, line: Line) -> Row | None:
        """Add a line, and return the row that ends with it."""
        if line.data is None:
            if self.parts:
                self.size = LONGEST_LINE + 1
                return self.endless(f"is not closed within {LONGEST_LINE >> 20} MB", line.number)
            return Row(line.number, line.number, None, f"it is longer than {LONGEST_LINE >> 20} MB.")
        if not self.parts:
            self.first = line.number
            if b'"' not in line.data:
                return Row(line.number, line.number, line.data) if line.data.strip() else None
        return self._add(line.number, line.data, line.end)

    def _add(self, number: int, data: bytes, end: bytes) -> Row | None:
        quote = _open_quote(data, self.delimiter, is_open=bool(self.parts))
        self.last = number
        self.parts += (data, end)
        self.size += len(data) + len(end)
        if quote is None:
            whole, self.parts, self.size = b"".join(self.parts[:-1]), [], 0
            return Row(self.first, number, whole)
        if quote:
            self.opened = number
        if self.size > LONGEST_LINE:
            return self.endless(f"is not closed within {LONGEST_LINE >> 20} MB", number)
        if len(self.parts) >= 2 * MOST_LINES:
            return self.endless(f"is not closed within {MOST_LINES:,} lines", number)
        return None

    def endless(self, what: str, last: int) -> Row:
        """Return the row whose quote is still open in the line `last`."""
        where = "there" if self.opened == self.first else f"in line {self.opened}"
        several = f", so lines {self.first} to {last} are one row" if last > self.first else ""
        data = b"".join(self.parts[:-1]) if self.size <= LONGEST_LINE else None
        return Row(self.first, last, data, f"the quote that opens {where} {what}{several}.")


def _open_quote(data: bytes, delimiter: bytes, *, is_open: bool) -> bool | None:
    """Return None if no quote is open at the end of a line, else whether the open quote began in this line.

    A quote opens only at the beginning of a cell, and two quotes in a quoted cell are one character.
    """
    at, here = 0, False
    while True:
        if is_open:
            at = data.find(b'"', at)
            if at < 0:
                return here
            at += 1
            if data[at : at + 1] == b'"':
                at += 1
                continue
            is_open = False
            if data[at : at + 1] != delimiter:  # the end of the line, or what the csv module refuses
                return None
            at += 1
        elif data[at : at + 1] == b'"':
            is_open = here = True
            at += 1
        else:
            at = data.find(delimiter, at) + 1
            if not at:
                return None
