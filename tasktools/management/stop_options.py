"""The options that say when and how runworker ends."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.arguments.durations import parse_duration
from tasktools.arguments.names import shown
from tasktools.arguments.numbers import whole_number
from tasktools.exceptions import ArgumentError
from tasktools.worker.admission import Limits


def add_ending_options(parser: CommandParser) -> None:
    add = parser.add_argument_group("how it ends").add_argument
    add("--reload-grace", default="30s", metavar="DURATION", help="how long tasks may go on in old code (30s)")
    add("--grace", metavar="DURATION", help="end within that time: warmly, then Celery's soft shutdown, then cold")
    add("--drain", action="store_true", help="end when its queues are empty and nothing runs")
    add("--max-tasks", metavar="N", help="end after N tasks")
    add("--max-time", metavar="DURATION", help="end after that time")


def limits_from(options: dict[str, Any]) -> Limits:
    """Return what --drain, --max-tasks and --max-time say.

    Raises ArgumentError for an invalid number or duration.
    """
    typed = options["max_tasks"]
    tasks = None if typed is None else whole_number(str(typed))
    if typed is not None and tasks is None:
        raise ArgumentError(f'--max-tasks "{shown(str(typed))}" is no number of tasks.', hint="give 1 or more")
    return Limits(tasks=tasks, seconds=seconds(options["max_time"]), drain=options["drain"])


def seconds(word: str | None) -> float | None:
    """Return a duration in seconds; None when it was not typed."""
    return None if word is None else parse_duration(word).total_seconds()
