"""Text that a terminal would obey, and whether something holds any."""

from __future__ import annotations

import unicodedata

#: Escape sequences of C0 and C1, a return to the line's beginning, a bell, a backspace, overrides of the direction of
#: writing, every kind of line break, what UTF-8 cannot write; and what would look like a line of ours.
HOSTILE = (
    "a\x1b]0;title\x07\x1b[2J\rb\x08\x7f\x9b31m\x85\u202ec\u2066\u200f\u2028d\u2029\x0b\x0c\x1c\ud800"
    "\r\nforged: line\nforged"
)

#: The same where UTF-8 must be able to write it.
ENCODABLE = HOSTILE.replace("\ud800", "")

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def active(text: str) -> list[str]:
    """Return the characters of `text` that do something to a terminal, but for line feeds and tabs."""
    return [
        char
        for char in text
        if char not in "\n\t" and (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI)
    ]


def forged(text: str) -> list[str]:
    """Return the lines that HOSTILE has made of its own."""
    return [line for line in text.splitlines() if line.startswith("forged")]
