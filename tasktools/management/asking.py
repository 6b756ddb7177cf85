"""Ask a person before something is destroyed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tasktools.exceptions import ArgumentError

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand


def require_terminal(command: TasktoolsCommand, what: str) -> None:
    """Raise ArgumentError if nobody can be asked; `what` is the option that asks."""
    if command.as_json or sys.stdin is None or not sys.stdin.isatty():
        raise ArgumentError(f"{what} asks first, and nobody can answer here.", hint="--noinput does not ask")


def is_sure(command: TasktoolsCommand, question: str) -> bool:
    """Ask on stderr, and return whether the answer is yes. No answer is no."""
    command.note(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
