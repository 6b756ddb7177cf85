"""The options that choose failed tasks, the same for showfailed, retryfailed and forgetfailed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.arguments.durations import parse_duration, parse_time
from tasktools.arguments.names import shown
from tasktools.arguments.numbers import whole_number
from tasktools.exceptions import ArgumentError, UsageError
from tasktools.failures.found import OPEN, Wanted
from tasktools.management.completion import completed_by, task_names
from tasktools.models import State

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

#: What --state takes.
STATES = (*State.values, "all")

#: What --rate takes: one message in a day at the least.
_DECIMAL = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_LEAST_RATE = 1 / 86400

_DURATION = re.compile(r"[\d.]+(?:ms|[wdhms])?(?:[\d.]+(?:ms|[wdhms]))*", re.ASCII)


def add_choice(parser: CommandParser) -> None:
    """Add --task, --exception and --since."""
    add = parser.add_argument
    names = "only failures of this task: a full name, its end, or a pattern with * and ?"
    completed_by(add("--task", metavar="NAME", help=names), task_names)
    add("--exception", metavar="NAME", help="only failures with this exception, as in ValueError")
    add("--since", metavar="TIME", help="only failures since that time, or of the last 2h")


def wanted_of(options: Mapping[str, Any], zone: tzinfo) -> Wanted:
    """Return what the options ask for; an option that the command does not have is not asked for. Raises ArgumentError."""
    since, until = (moment(options.get(name), zone) for name in ("since", "until"))
    if since is not None and until is not None and until <= since:
        raise ArgumentError("--until is not after --since.", hint="exchange them")
    return Wanted(
        task=options.get("task"),
        exception=options.get("exception"),
        since=since,
        until=until,
        states=states_of(options.get("state")),
    )


def states_of(typed: str | None) -> tuple[str, ...] | None:
    """Return the states that --state names; None for all."""
    return tuple(OPEN) if typed is None else None if typed == "all" else (typed,)


def moment(typed: Any, zone: tzinfo) -> datetime | None:
    """Return a time, or that a duration ago; None if nothing was typed. Raises ArgumentError."""
    if typed is None or isinstance(typed, datetime):
        return None if typed is None else parse_time(typed, zone)
    if not isinstance(typed, (int, float, timedelta)) and not _DURATION.fullmatch(str(typed)):
        return parse_time(str(typed), zone)
    try:
        return datetime.now(timezone.utc) - parse_duration(typed)
    except OverflowError:
        raise ArgumentError(f'"{shown(str(typed))}" is too long ago.', hint="give a time such as 2d") from None


def number_of(option: str, typed: Any) -> int | None:
    """Return a whole number from 1 on; None if nothing was typed. Raises ArgumentError."""
    if typed is None:
        return None
    number = whole_number(str(typed))
    if number is None:
        raise ArgumentError(f'{option} "{shown(str(typed))}" is no number from 1 on.', hint=f"write {option} 10")
    return number


def rate_of(typed: Any) -> float | None:
    """Return how many a second --rate allows, as in 10 or 0.5; None if nothing was typed. Raises ArgumentError."""
    if typed is None:
        return None
    rate = float(typed) if _DECIMAL.fullmatch(str(typed)) else 0.0
    if rate < _LEAST_RATE:
        sentence = f'--rate "{shown(str(typed))}" is no number of messages a second.'
        raise ArgumentError(sentence, hint="write --rate 10, or --rate 0.5 for one every two seconds")
    return rate


def require_choice(options: Mapping[str, Any], *names: str) -> None:
    """Raise UsageError unless ids are typed, or something of what these options choose by; never both."""
    given = [f"--{name}" for name in names if options.get(name) not in (None, False)]
    if options["ids"] and given:
        raise UsageError(
            f"Ids and {given[0]} are both given.", hint="ids name each failed task; the options choose some"
        )
    if not options["ids"] and not given:
        raise UsageError("Nothing says which failed tasks are meant.", hint=f"give ids, --{', --'.join(names)}")


def in_states(wanted: Wanted, *states: str) -> Wanted:
    """Return the same for other states."""
    return replace(wanted, states=states)


def confirmed(command: TasktoolsCommand, question: str, nothing: str) -> bool:
    """Ask a person. Raises UsageError if there is none; `nothing` says what was not done then."""
    if command.as_json or not command.is_answered:
        raise UsageError(f"{nothing}: nobody is there to say yes.", hint="--noinput does not ask")
    return command.ask(question)
