"""What was typed for showqueues -> what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasktools.arguments.durations import parse_duration
from tasktools.arguments.names import shown
from tasktools.arguments.numbers import whole_number
from tasktools.exceptions import ArgumentError

#: How many messages of a queue --peek shows at the most.
MOST_PEEKED = 1000


@dataclass(frozen=True, kw_only=True)
class Asked:
    queues: list[str]
    #: How long to measure, in seconds; None for not at all.
    interval: float | None = None
    by_task: bool = False
    peek: int = 0
    #: How many messages may wait in a queue, and for how long, in seconds.
    most: int | None = None
    max_age: float | None = None
    watch: bool = False
    deep: bool = False
    #: Whether it is also asked by whom and why a queue is paused.
    detailed: bool = False


def asked_of(options: Mapping[str, Any]) -> Asked:
    """Return what the options ask for. Raises ArgumentError."""
    interval, max_age = _seconds(options["interval"]), _seconds(options["max_age"])
    if interval == 0:
        raise ArgumentError("--interval is 0.", hint="give a time such as 10s")
    if options["watch"] and (options["most"] is not None or max_age is not None):
        raise ArgumentError(
            "--watch runs until it is stopped, and --max and --max-age are about its end.", hint="leave one of them out"
        )
    return Asked(
        queues=list(dict.fromkeys(options["queues"])),
        interval=interval,
        by_task=options["by_task"],
        peek=_number("--peek", options["peek"], least=1, most=MOST_PEEKED) or 0,
        most=_number("--max", options["most"], least=0),
        max_age=max_age,
        watch=options["watch"],
        deep=options["deep"],
        detailed=options.get("verbosity", 1) > 1,
    )


def _seconds(typed: Any) -> float | None:
    return None if typed is None else parse_duration(typed).total_seconds()


def _number(option: str, typed: Any, *, least: int, most: int | None = None) -> int | None:
    if typed is None:
        return None
    number = whole_number(str(typed), least=least, most=most)
    if number is not None:
        return number
    bounds = f"from {least} to {most:,}" if most else f"from {least} on"
    raise ArgumentError(f'{option} "{shown(str(typed))}" is no number {bounds}.', hint=f"give one, as in {option} 10")
