"""What watchtasks prints: a line, or an object of JSON, for each attempt that has ended."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tasktools import render, terminal

if TYPE_CHECKING:
    from tasktools.events.attempts import Attempt
    from tasktools.events.watch import Notice
    from tasktools.management.base import TasktoolsCommand

#: How wide the name of a task and of a worker may be, and at least are, in characters.
WIDEST_TASK, WIDEST_WORKER = 50, 30
NARROWEST = 12

#: The characters of a line beside these two: the time, the id, both durations, the longest state, and the gaps.
_REST = 10 + 10 + 8 + 8 + 8 + 4


class Lines:
    """Prints lines. Its columns grow with what they hold."""

    def __init__(self, command: TasktoolsCommand, zone: Any) -> None:
        self.command, self.zone = command, zone
        self._task = self._worker = NARROWEST
        self._is_introduced = False
        self._width = shutil.get_terminal_size().columns if command.stdout.isatty() else 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, notice: Notice) -> None:
        style = self.command.style
        self.command.note(notice.text, style=style.WARNING if notice.is_trouble else str)

    def show(self, attempts: Sequence[Attempt]) -> bool:
        """Print them; return whether to go on."""
        if not attempts:
            return True
        if self.command.as_json:
            self.command.print_lines((render.as_json(each), "", str) for each in attempts)
            return True
        for each in attempts:
            self._task = min(self._most_task(), max(self._task, len(each.task or "")))
            self._worker = min(WIDEST_WORKER, max(self._worker, len(each.worker)))
        if not self._is_introduced:
            self._is_introduced = True
            titles = self._row("TIME", "TASK", "ID", "WORKER", "WAITED", "RAN")
            self.command.note(f"{titles}STATE")
        self.command.print_lines(map(self._line, attempts))
        return True

    def _most_task(self) -> int:
        """Return how wide the name of a task may be: a line of a terminal should be one."""
        return max(NARROWEST, min(WIDEST_TASK, self._width - _REST - self._worker)) if self._width else WIDEST_TASK

    def _line(self, attempt: Attempt) -> tuple[str, str, Callable[[str], str]]:
        at = "-" if attempt.at is None else f"{attempt.at.astimezone(self.zone):%H:%M:%S}"
        times = brief(attempt.waited), brief(attempt.ran)
        row = self._row(at, attempt.task or "-", attempt.id[:8], attempt.worker, *times)
        error = f" {attempt.exception}" if attempt.exception else ""
        return row, f"{attempt.state}{error}", self._style(attempt.state)

    def _row(self, at: str, task: str, task_id: str, worker: str, waited: str, ran: str) -> str:
        task, worker = ending(task, self._task), beginning(worker, self._worker)
        return f"{at:8}  {task:{self._task}}  {task_id:8}  {worker:{self._worker}}  {waited:>6}  {ran:>6}  "

    def _style(self, state: str) -> Callable[[str], str]:
        styles: Any = self.command.style
        found: Callable[[str], str] = {"SUCCESS": styles.SUCCESS, "RETRY": styles.WARNING}.get(state, styles.ERROR)
        return found


def brief(seconds: float | None) -> str:
    """Return a duration in six characters at most."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.{1 if seconds < 0.00995 else 0}f}ms"
    for unit, size, most in (("s", 1, 60), ("m", 60, 60), ("h", 3600, 48)):
        if seconds / size < most - 0.05:
            return f"{seconds / size:.1f}{unit}"
    return f"{seconds / 86400:.0f}d"


def beginning(text: str, most: int) -> str:
    """Return text of one line, cut to so many characters."""
    text = terminal.line(text[: most + 1])
    return text if len(text) <= most else f"{text[: most - 1]}…"


def ending(text: str, most: int) -> str:
    """Return the same, cut at its beginning: what tells tasks apart is the end of their names."""
    text = terminal.line(text[-most - 1 :])
    return text if len(text) <= most else f"…{text[1 - most :]}"
