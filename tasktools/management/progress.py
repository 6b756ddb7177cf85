"""How far a long command has come, on stderr: a bar in a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from tasktools.management.base import TasktoolsCommand
from tasktools.publishing.checkpoint import Progress

#: Seconds between two lines if there is no terminal.
PERIOD = 5.0


class Meter:
    """Shows lines done of all, the rate, and the time left. Use it as a context manager."""

    def __init__(self, command: TasktoolsCommand, total: int | None, done: int) -> None:
        """`total` is None for a pipe; `done` lines were done before."""
        self.command = command
        self.total = total
        self.before = done
        self.began = self.said = time.monotonic()
        self._waited = ""
        self._bar: Any = None
        self._id: Any = None

    def __enter__(self) -> Meter:
        if self.command.stderr.isatty():
            self._bar = _bar()
            with contextlib.suppress(OSError):
                self._bar.start()
            self._id = self._bar.add_task("", total=self.total, completed=self.before)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            with contextlib.suppress(OSError):  # the terminal has gone
                self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show how many lines are done."""
        self._waited = ""
        if self._bar:
            self._bar.update(self._id, completed=progress.line, description="")
            return
        now = time.monotonic()
        if now - self.said >= PERIOD:
            self.said = now
            self.command.note(self._text(progress.line, now - self.began))

    def waits(self, what: str) -> None:
        """Say what the command waits for; without a terminal, only once."""
        if self._bar:
            self._bar.update(self._id, description=self.command.cleaned(f"waiting: {what}"))
        elif not self._waited:
            self._waited = what
            self.command.note(f"waiting: {what}")

    def _text(self, line: int, seconds: float) -> str:
        rate = (line - self.before) / seconds
        if self.total is None:
            return f"{line:,} lines, {rate:,.0f} a second"
        return f"{line:,} of {self.total:,} lines, {rate:,.0f} a second, {(self.total - line) / rate:.0f} s left"


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        _speed_column(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _speed_column() -> Any:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed or 0:,.0f} a second")

    return Speed()
