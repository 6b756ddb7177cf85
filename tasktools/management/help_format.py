"""The form of --help: what it says in lines that fit the terminal."""

from __future__ import annotations

import argparse
import re
import textwrap

from django.core.management.base import DjangoHelpFormatter

#: A line of an epilog: an example and what it does; an exit code, up to its meaning. How far in what an example does is below it.
_EXAMPLE = re.compile(r"  (manage\.py .*?) {2,}(.+)")
_CODE = re.compile(r"  (?:\d+ *|else )")
_BELOW = 6


class HelpFormatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's order of options; the examples and exit codes keep their line breaks, and fit the terminal."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return fitted(super()._fill_text(text, width, indent), width)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Return the names of an option with what it takes once, as Python 3.13 does: -l, --loglevel LEVEL."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        takes = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {takes}"


def fitted(text: str, width: int) -> str:
    """Return a description or an epilog in lines of `width` characters, where words allow.

    Where one example has no room beside what it does, that is below each of them.
    """
    lines = text.splitlines()
    is_wide = any(len(line) > width for line in lines if _EXAMPLE.match(line))
    return "\n".join(part for line in lines for part in _parts(line, width, is_wide=is_wide))


def _parts(line: str, width: int, *, is_wide: bool) -> list[str]:
    example = _EXAMPLE.match(line) if is_wide else None
    if example:
        return [f"  {example[1]}", *_wrapped(f"{' ' * _BELOW}{example[2]}", width, _BELOW)]
    code = _CODE.match(line)
    return _wrapped(line, width, len(code[0]) if code else 0)


def _wrapped(line: str, width: int, indent: int) -> list[str]:
    if len(line) <= width:
        return [line]
    return textwrap.wrap(
        line, max(width, indent + 1), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
