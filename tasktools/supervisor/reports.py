"""What a part of rundev says about code that it cannot import: a marked line. rundev prints it once for all parts."""

from __future__ import annotations

import functools
import os
import sys

from tasktools.terminal import line

#: The environment variable that tells a process that rundev reads its output.
VARIABLE = "TASKTOOLS_SITE"

#: The first character of such a line.
MARK = "\x1d"


@functools.cache
def is_part() -> bool:
    """Whether this process is a part of rundev. The first call changes the environment: what the project starts is no part."""
    return os.environ.pop(VARIABLE, None) is not None


def report(text: str) -> None:
    """Make rundev print `text`, unless another part has reported the same."""
    sys.stderr.write(f"{MARK}{line(text)}\n")
    sys.stderr.flush()


def pass_on() -> None:
    """Make the program that replaces this one a part too."""
    if is_part():
        os.environ[VARIABLE] = "1"


class Reports:
    """Which parts have reported what. A report counts as new if the same part has made it before: the code was saved again."""

    def __init__(self) -> None:
        self._parts: dict[str, set[str]] = {}

    def is_new(self, part: str, text: str) -> bool:
        """Remember a report; return whether it must be printed."""
        parts = self._parts.setdefault(text, set())
        new = not parts or part in parts
        if new:
            parts.clear()
        parts.add(part)
        return new
