"""The loggers of this process, and those that print."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


def all_loggers() -> list[logging.Logger]:
    """Return the root logger and all that have been made."""
    root = logging.getLogger()
    return [root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))]


def enabled() -> list[logging.Logger]:
    """Return the loggers that are not disabled."""
    return [each for each in all_loggers() if not each.disabled]


def enable(loggers: list[logging.Logger]) -> None:
    """Enable loggers again that somebody may have disabled."""
    for each in loggers:
        each.disabled = False


@contextlib.contextmanager
def stay_enabled() -> Iterator[None]:
    """Undo what a second django.setup() does inside the block: unless LOGGING says otherwise, it disables existing loggers."""
    before = enabled()
    try:
        yield
    finally:
        enable(before)
