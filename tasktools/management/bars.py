"""How far tasks have come, as they report it: bars in a terminal, a line now and then without one."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from tasktools import render
from tasktools.management.base import TasktoolsCommand
from tasktools.results.outcome import Outcome

#: The names under which tasks report how far they have come; "total" stands beside them.
NAMES = ("current", "done", "completed")

#: How many bars are shown.
MOST_BARS = 10

#: Without a terminal: seconds between two lines of one task, and between two lines on all of them.
PERIOD, LONG_PERIOD = 1.0, 5.0


def steps_of(result: object) -> tuple[float, float] | None:
    """Return how far a task has come and how far it has to go, if that is what it has reported."""
    if not isinstance(result, Mapping):
        return None
    total: Any = result.get("total")
    current: Any = next((result[name] for name in NAMES if name in result), None)
    if not (_is_number(current) and _is_number(total)) or total <= 0:
        return None
    return min(max(float(current), 0.0), float(total)), float(total)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)
    )


def report_of(outcome: Outcome) -> str:
    """Return what a task has reported, as a line."""
    steps = steps_of(outcome.result)
    if steps is None:
        return f"{outcome.state} {render.as_json(outcome.result)}"
    rest = {key: value for key, value in outcome.result.items() if key not in (*NAMES, "total")}
    more = f" {render.as_json(rest)}" if rest else ""
    return f"{outcome.state} {steps[0]:,.12g} of {steps[1]:,.12g} ({steps[0] / steps[1]:.0%}){more}"


def _short(task_id: str) -> str:
    """Return the id, or its beginning: beside a whole UUID, 80 columns have no room for a bar."""
    return task_id if len(task_id) <= 20 else f"{task_id[:8]}…"


class Lines:
    """Without a terminal."""

    def __init__(self, command: TasktoolsCommand, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.command, self.total, self.clock = command, total, clock
        self._said: dict[str, tuple[float, str]] = {}
        self._latest, self._done = clock(), 0

    def show(self, outcome: Outcome, *, label: bool) -> None:
        """Show what a task has reported, unless that was said, or something else of it a moment ago."""
        text, now = report_of(outcome), self.clock()
        before, said = self._said.get(outcome.id, (-math.inf, ""))
        if text == said or (now - before < PERIOD and steps_of(outcome.result) is not None):
            return
        self._said[outcome.id] = now, text
        self.command.note(f"{outcome.id} {text}" if label else text)

    def count(self, done: int) -> None:
        """Say from time to time how many tasks are finished."""
        now = self.clock()
        if self.total > 1 and done != self._done and now - self._latest >= LONG_PERIOD:
            self._latest, self._done = now, done
            self.command.note(f"{done:,} of {render.counted(self.total, 'task')} finished.")

    def drop(self, task_id: str) -> None:
        self._said.pop(task_id, None)

    def hide(self) -> None:
        """Make room for other lines."""

    def close(self) -> None:
        pass


class Bars(Lines):
    """In a terminal. What a task reports that is no number is a line there too."""

    def __init__(self, command: TasktoolsCommand, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(command, total, clock)
        self._drawn: Any = None
        self._rows: dict[str, Any] = {}

    def show(self, outcome: Outcome, *, label: bool) -> None:
        steps = steps_of(outcome.result)
        if steps is None:
            self.hide()
            super().show(outcome, label=label)
        elif outcome.id in self._rows or len(self._rows) < MOST_BARS:
            self._row(outcome.id, f"{_short(outcome.id) if label else ''} {outcome.state[:20]}".strip(), *steps)

    def count(self, done: int) -> None:
        if self.total > 1:
            self._row("", "tasks", done, self.total)

    def _row(self, key: str, text: str, completed: float, total: float) -> None:
        if self._drawn is None:
            self._drawn = _drawn()
        text = self.command.cleaned(text)
        if key not in self._rows:
            self._rows[key] = self._drawn.add_task(text, completed=completed, total=total)
        self._drawn.update(self._rows[key], completed=completed, total=total, description=text)
        with contextlib.suppress(OSError):  # the terminal has gone
            self._drawn.start()

    def drop(self, task_id: str) -> None:
        super().drop(task_id)
        if self._drawn is not None and (row := self._rows.pop(task_id, None)) is not None:
            self._drawn.remove_task(row)

    def hide(self) -> None:
        if self._drawn is not None:
            with contextlib.suppress(OSError):
                self._drawn.stop()

    def close(self) -> None:
        self.hide()


def meter_of(command: TasktoolsCommand, total: int) -> Lines:
    """Return what shows how far `total` tasks have come."""
    return (Bars if command.stderr.isatty() and not command.as_json else Lines)(command, total)


def _drawn() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
