"""Text from elsewhere -> text that is safe on a terminal. Pure, and light: the supervisor uses it too."""

from __future__ import annotations

import re

#: Shown as escapes: the control characters C0 (except tab and line feed), DEL and C1, the separators of lines and paragraphs,
#: characters that change the direction of writing (Unicode's Bidi_Control), and what UTF-8 cannot write (surrogates).
_ACTIVE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"

_IN_BLOCK = re.compile(f"[{_ACTIVE}]")
_IN_LINE = re.compile(f"[\t\n{_ACTIVE}]")


def line(text: str) -> str:
    r"""Return `text` as one line: a control character becomes an escape such as `\x1b`, and a line break becomes `\n`."""
    return _IN_LINE.sub(_escape, text)


def block(text: str) -> str:
    r"""Return `text` as lines: its line feeds and tabs stay, and other control characters become escapes."""
    return _IN_BLOCK.sub(_escape, text.replace("\r\n", "\n"))


def json(text: str) -> str:
    r"""Return JSON with the same value: control characters, which only its strings can hold, become escapes such as `\u009b`."""
    return _IN_BLOCK.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
