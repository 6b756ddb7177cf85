"""Celery's warning about the rights of a worker, as a sentence: Python shows it with a path and a line of Celery's source."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from celery.exceptions import SecurityWarning

from tasktools.exceptions import ConfigurationError

ROOT = "The worker runs as root: its tasks may do anything on this machine."
HINT = "start it as another user, or name one with --uid"


@contextlib.contextmanager
def in_plain_words(warn: Callable[[ConfigurationError], object]) -> Iterator[None]:
    """Give `warn` the warnings of this kind, each sentence once. Others are shown as before; Python's filters apply to all."""
    before = warnings.showwarning
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
        if issubclass(category, SecurityWarning):
            sentence = _sentence(str(message))
            if sentence not in said:  # Celery warns root twice if nobody knows its group
                said.add(sentence)
                warn(ConfigurationError(sentence, hint=HINT))
        else:
            before(message, category, *place, **options)

    warnings.showwarning = show
    try:
        yield
    finally:
        if warnings.showwarning is show:
            warnings.showwarning = before


def _sentence(text: str) -> str:
    """Return what is said of Celery's text. It also warns of a group such as sudo, and of one that nobody knows."""
    return ROOT if 0 in (os.getuid(), os.geteuid()) else f"Celery warns: {' '.join(text.split())}"
