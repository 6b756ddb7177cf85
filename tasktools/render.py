"""Rows and values -> text, or a rich object for a terminal. Nothing here prints."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeGuard, cast

from django.core.serializers.json import DjangoJSONEncoder

from tasktools import terminal
from tasktools.exceptions import TasktoolsError, tried

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rich.table import Table

#: Lists and dictionaries are shown to this depth; deeper values are shown by their repr.
MOST_LEVELS = 100

#: A column of a table that is always shown is folded if it is longer, in characters.
LONGEST_CELL = 40

#: Of a column whose texts are shortened, so much is shown at the least, in cells of the terminal.
SHORTEST_TEXT = 20

#: How many cells rich puts between two columns.
_BETWEEN = 3

#: Whole numbers with more bits are shown in hexadecimal: Python refuses to write them (sys.get_int_max_str_digits).
LONGEST_NUMBER = 14_000


def as_json(value: object, *, indent: int | None = None) -> str:
    """Return `value` as JSON: dataclasses as objects, times as ISO 8601, durations in seconds, anything else by its repr.

    Terminal control characters become JSON escapes.
    """
    text = json.dumps(_plain(value), cls=_Encoder, indent=indent, ensure_ascii=False, allow_nan=False)
    return terminal.json(text)


def is_json(value: object) -> bool:
    """Whether JSON (with the times, decimals and UUIDs of Django's encoder) can carry `value` without a repr."""
    text = tried(lambda: json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False), lambda _: None)
    return text is not None and not _is_deep(value)


def text_of(value: object) -> str:
    """Return str(value), even for an object whose __str__ fails."""
    return _attempted(str, value)


def ended(text: str) -> str:
    """Return a text as the end of a sentence: with a full stop, unless it has a mark, as some drivers ask a question."""
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def repr_of(value: object) -> str:
    """Return repr(value), even for an object whose __repr__ fails."""
    return _attempted(repr, value)


def printable(text: str) -> str:
    """Return `text` with escapes for what UTF-8 cannot write (lone surrogates)."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Encoder(DjangoJSONEncoder):
    def default(self, value: object) -> object:
        return tried(lambda: super(_Encoder, self).default(value), lambda _: _attempted(repr, value))


def _attempted(form: Callable[[object], str], value: object) -> str:
    return tried(lambda: form(value), lambda _: f"<{type(value).__name__}>")


def _plain(value: object, above: tuple[int, ...] = ()) -> object:
    """Convert `value` to types that JSON has: text for keys, no infinite numbers, dataclasses and named tuples as objects."""
    if isinstance(value, (Mapping, list, tuple)) or _is_dataclass(value):
        is_new = len(above) < MOST_LEVELS and id(value) not in above
        parts = tried(lambda: _parts(value), lambda _: None) if is_new else None
        above = (*above, id(value))
        if isinstance(parts, dict):
            return {_key(key): _plain(item, above) for key, item in parts.items()}
        return _attempted(repr, value) if parts is None else [_plain(item, above) for item in parts]
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if _is_writable(value) else _attempted(_written, value)


def _written(value: object) -> str:
    return hex(value) if isinstance(value, int) else repr(value)


def _is_dataclass(value: object) -> TypeGuard[DataclassInstance]:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _parts(value: object) -> dict[object, object] | list[object]:
    """Return what a container holds. A field of a dataclass that was never set is left out."""
    if _is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.metadata.get("json", True)]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    return dict(value.items()) if isinstance(value, Mapping) else list(cast("Iterable[object]", value))


def _key(key: object) -> object:
    return key if isinstance(key, (str, int, bool, type(None))) and _is_writable(key) else _attempted(repr, key)


def _is_writable(value: object) -> bool:
    """Whether JSON can write a number, and Python can write it in decimal."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or value.bit_length() < LONGEST_NUMBER


def _is_deep(value: object) -> bool:
    """Whether it has more levels than MOST_LEVELS."""
    level, left = 0, [value]
    while left and level <= MOST_LEVELS:
        level += 1
        left = [item for each in left for item in _items(each)]
    return bool(left)


def _items(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()


def as_text(value: object) -> str:
    """Return a task's result for stdout: text unchanged, anything else as JSON."""
    return printable(value) if isinstance(value, str) else as_json(value)


def counted(number: int, noun: str) -> str:
    """Return "1 task", "1,000 tasks"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def error_lines(error: TasktoolsError) -> list[str]:
    """Return an error as lines: its sentence, further sentences, its hint."""
    return [error.sentence, *error.more, *[f"Hint: {error.hint}"] * bool(error.hint)]


def error_json(error: TasktoolsError, hide: Callable[[str], str], *, key: str = "error") -> str:
    """Return an error as `{"error": ..., "hint": ...}`."""
    return as_json({key: hide("\n".join([error.sentence, *error.more])), "hint": hide(error.hint)})


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes: a character of Chinese or Japanese takes two, an accent none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, width: int) -> str:
    """Return the text with spaces after it, so that it takes `width` cells of a terminal."""
    return text + " " * (width - cells(text))


def that_fit(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, spare: Sequence[str], cut: str = ""
) -> list[int]:
    """Return the places of the columns that a terminal of `width` characters shows without folding their cells.

    Columns of `spare` are left out, the first one first, until the rest fits; those of them that have room beside the rest stay.
    The others stay in any case, and may be folded: they count LONGEST_CELL at most. The texts of the column `cut` are to be
    shortened: it counts SHORTEST_TEXT at most.
    """
    widths = [max(cells(terminal.line(line[place])) for line in [columns, *rows]) for place in range(len(columns))]
    most = {name: LONGEST_CELL for name in columns if name not in spare} | {cut: max(SHORTEST_TEXT, cells(cut))}
    widths = [min(each, most.get(name, each)) for each, name in zip(widths, columns, strict=True)]

    def has_room(places: Iterable[int]) -> bool:
        return sum(widths[place] + _BETWEEN for place in places) <= width

    kept = list(range(len(columns)))
    left_out: list[int] = []
    for name in spare:
        if has_room(kept):
            break
        left_out.append(columns.index(name))
        kept.remove(left_out[-1])
    for place in reversed(left_out):
        kept += [place] * has_room([*kept, place])
    return sorted(kept)


def beginning(text: str, room: int) -> str:
    """Return as much of a text as has room, in cells of a terminal."""
    if cells(text) <= room:
        return text
    text = text[:room]
    while cells(text) > room - 1:
        text = text[:-1]
    return f"{text}…"


def shortened(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, kept: Sequence[int], cut: str
) -> list[list[str]]:
    """Return the rows for a terminal that shows the columns `kept`: the texts of the column `cut` have what the others leave."""
    place = columns.index(cut)
    others = [
        max(cells(terminal.line(line[each])) for line in [columns, *rows]) + _BETWEEN for each in kept if each != place
    ]
    room = max(SHORTEST_TEXT, cells(cut), width - sum(others) - _BETWEEN)
    return [[*row[:place], beginning(terminal.line(row[place]), room), *row[place + 1 :]] for row in rows]


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of aligned columns, two spaces apart, with its headings in the first line."""
    rows = [[terminal.line(cell) for cell in row] for row in rows]
    widths = [max(cells(line[place]) for line in [columns, *rows]) for place in range(len(columns))]
    lines = [
        "  ".join(padded(cell, width) for cell, width in zip(line, widths, strict=True)) for line in [columns, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return the same table as a rich object. Its long cells wrap in a narrow terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(terminal.line(cell)) for cell in row))
    return table
