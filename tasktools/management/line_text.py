"""The bytes of a line -> text and JSON, and a sentence about a file that is written in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasktools.arguments.nesting import parsed
from tasktools.exceptions import ArgumentError
from tasktools.management.input_lines import LONGEST_LINE

if TYPE_CHECKING:
    from tasktools.management.csv_rows import Row
    from tasktools.management.input_lines import Line

#: What is wrong with a file whose lines end with a carriage return alone.
OLD_MAC = "its lines end as on an old Mac, with a carriage return alone: convert the file with tr '\\r' '\\n'."


def text_of(line: Line | Row) -> str:
    if line.data is None:
        raise ArgumentError(f"it is longer than {LONGEST_LINE >> 20} MB.")
    if line.data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ArgumentError("it is UTF-16: convert the file with iconv -f UTF-16 -t UTF-8.")
    try:
        return line.data.decode()
    except UnicodeDecodeError as error:
        byte = line.data[error.start]
        letter = bytes([byte]).decode("latin-1")
        latin = f', a "{letter}" in Latin-1: convert the file with iconv -f LATIN1 -t UTF-8' if letter.isalpha() else ""
        raise ArgumentError(f"it is not UTF-8: byte {error.start + 1} is 0x{byte:02x}{latin}.") from None


def shown_text(line: Line | Row) -> str:
    return "" if line.data is None else line.data.decode("utf-8", "backslashreplace")


def json_of(text: str) -> Any:
    try:
        return parsed(text.removeprefix("\ufeff"))
    except ValueError as error:
        if "\r" in text.strip():
            raise ArgumentError(OLD_MAC) from None
        raise ArgumentError(f"it is not JSON: {error}.") from None
