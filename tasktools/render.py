"""Rows and values -> text, or a rich object for a terminal. Nothing here prints."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from tasktools.exceptions import TasktoolsError


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as JSON: dataclasses as objects, times as ISO 8601, durations in seconds, anything else by its repr."""
    text = json.dumps(_plain(value), cls=_Encoder, indent=indent, ensure_ascii=False, allow_nan=False)
    return printable(text)  # the escape of a lone surrogate is JSON's own


def is_json(value: Any) -> bool:
    """Whether JSON (with the times, decimals and UUIDs of Django's encoder) can carry `value` without a repr."""
    try:
        json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def printable(text: str) -> str:
    """Return `text` with what UTF-8 cannot write (lone surrogates) as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Encoder(DjangoJSONEncoder):
    def default(self, value: Any) -> Any:
        try:
            return super().default(value)
        except (TypeError, ValueError):
            return repr(value)


def _plain(value: Any) -> Any:
    """Bring `value` into the forms that JSON has: text for keys, no infinite numbers, dataclasses and named tuples as objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        plain = (str, int, bool, type(None))
        return {key if isinstance(key, plain) else repr(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def as_text(value: Any) -> str:
    """Return a task's result for stdout: text as it is, anything else as JSON."""
    return printable(value) if isinstance(value, str) else as_json(value)


def error_text(error: TasktoolsError) -> str:
    """Return an error as its sentence and, on a line of its own, its hint."""
    return f"{error.sentence}\nHint: {error.hint}" if error.hint else error.sentence


def error_json(error: TasktoolsError) -> str:
    """Return an error as `{"error": ..., "hint": ...}`."""
    return as_json({"error": error.sentence, "hint": error.hint})


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of aligned columns, two spaces apart, with its heads in the first line."""
    widths = [max(len(line[place]) for line in [columns, *rows]) for place in range(len(columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [columns, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """Return the same table as a rich object, whose long cells fold in a narrow terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
