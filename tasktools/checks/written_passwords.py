"""Whether a file of settings holds a password: as a whole value, or as the password of a URL. Part of a value is no password."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import unquote

from tasktools.brokers.masking import passwords_in
from tasktools.exceptions import tried

#: `NAME=value`, as .env files have it.
_LINE = re.compile(r"(?:export\s+)?[\w.-]+\s*=\s*(.*)")

_COMMENT = re.compile(r"\s+#.*")

_QUOTED = re.compile(r"""(['"])(.*)\1""")


def holds(path: Path, secrets: Collection[str]) -> bool:
    """Whether a file, Python or lines such as NAME=value, holds one of the passwords. False for a file that cannot be read."""
    text = tried(lambda: path.read_text(errors="replace"), lambda _: "")
    values = tried(lambda: list(_literals(text)), lambda _: []) if path.suffix == ".py" else _of_lines(text)
    return any({each, unquote(each)} & {*secrets} for value in values for each in _candidates(value))


def _literals(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _of_lines(text: str) -> Iterator[str]:
    """Yield the value of each line with and without what looks like a comment. A line in a comment can be read too."""
    for each in text.splitlines():
        line = each.strip().lstrip("# \t")
        match = _LINE.fullmatch(line)
        value = match[1] if match else line
        yield from (_bare(value), _bare(_COMMENT.sub("", value)))


def _bare(value: str) -> str:
    match = _QUOTED.fullmatch(value)
    return match[2] if match else value


def _candidates(value: str) -> Iterator[str]:
    yield value
    if "://" in value:
        yield from passwords_in(value)
