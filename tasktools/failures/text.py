"""Texts of strangers, in a form that every database takes."""

from __future__ import annotations

#: What is left of a longer text, in characters.
REASON = 10_000
TRACEBACK = 64_000
NAME = 255

_CUT = "\n[... {} characters left out ...]\n"


def clean(text: str) -> str:
    """Remove NUL, which PostgreSQL refuses, and replace lone surrogates, which no UTF-8 has."""
    if text.isascii():  # known without a look at it, as it is for most
        return text.replace("\0", "")
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def cut(text: str, most: int) -> str:
    """Return the beginning and the end of a text that is too long: both say more than what is between them."""
    text = clean(text)
    if len(text) <= most:
        return text
    note = _CUT.format(len(text) - most)
    half = (most - len(note)) // 2
    return f"{text[: most - len(note) - half]}{note}{text[-half:]}"


def name(value: object) -> str:
    """Return a name or an id for a column of NAME characters."""
    return clean("" if value is None else str(value))[:NAME]
