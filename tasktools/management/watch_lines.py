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

#: The characters of a line beside the name of the task, that of the worker and the error: time, id, durations, state, gaps.
_REST = 48

#: How wide both names are where there is no terminal. Longer ones are printed whole.
_PIPED = (30, 16)


class Lines:
    """Prints lines. In a terminal each is cut to its width."""

    def __init__(self, command: TasktoolsCommand, zone: Any) -> None:
        self.command, self.zone = command, zone
        self._is_introduced = False
        self._is_cut = command.stdout.isatty()
        self._task, self._worker = columns(self._width()) if self._is_cut else _PIPED

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
        if not self._is_introduced:
            self._is_introduced = True
            titles = self._row("TIME", "TASK", "ID", "WORKER", "WAITED", "RAN")
            self.command.note(self._fitting(f"{titles}STATE"))
        self.command.print_lines(map(self._line, attempts))
        return True

    @staticmethod
    def _width() -> int:
        return shutil.get_terminal_size().columns

    def _fitting(self, text: str, used: int = 0) -> str:
        """Return text of one line, cut to what a line of the terminal has left."""
        if not self._is_cut:
            return text
        left = self._width() - used
        return fitting(self.command.cleaned(text), left) if left > 0 else ""

    def _line(self, attempt: Attempt) -> tuple[str, str, Callable[[str], str]]:
        at = "-" if attempt.at is None else f"{attempt.at.astimezone(self.zone):%H:%M:%S}"
        times = brief(attempt.waited), brief(attempt.ran)
        row = self._row(at, attempt.task or "-", attempt.id[:8], attempt.worker, *times)
        error = f" {attempt.exception}" if attempt.exception else ""
        return self._fitting(row), self._fitting(f"{attempt.state}{error}", len(row)), self._style(attempt.state)

    def _row(self, at: str, task: str, task_id: str, worker: str, waited: str, ran: str) -> str:
        if self._is_cut:
            task, worker = ending(task, self._task), beginning(worker, self._worker)
        task, worker = terminal.line(task), terminal.line(worker)
        return f"{at:8}  {task:{self._task}}  {task_id:8}  {worker:{self._worker}}  {waited:>6}  {ran:>6}  "

    def _style(self, state: str) -> Callable[[str], str]:
        styles: Any = self.command.style
        found: Callable[[str], str] = {"SUCCESS": styles.SUCCESS, "RETRY": styles.WARNING}.get(state, styles.ERROR)
        return found


def columns(width: int) -> tuple[int, int]:
    """Return how wide the names of the task and of the worker are in a terminal; a wide one has room for errors too."""
    left = width - _REST
    return max(8, min(50, left * 6 // 10)), max(4, min(24, left * 4 // 10))


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


def fitting(text: str, most: int) -> str:
    """Return the same, cut to so many columns of a terminal: some characters take two."""
    text = beginning(text, most)
    if not text.isascii():
        from rich.cells import cell_len

        while cell_len(text) > most:
            text = f"{text[:-2]}…"
    return text


def ending(text: str, most: int) -> str:
    """Return the same, cut at its beginning: what tells tasks apart is the end of their names."""
    text = terminal.line(text[-most - 1 :])
    return text if len(text) <= most else f"…{text[1 - most :]}"
