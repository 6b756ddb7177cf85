"""What pausequeue and resumequeue make of what was typed."""

from __future__ import annotations

import contextlib
import getpass
import socket
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from tasktools import render
from tasktools.arguments.durations import parse_duration
from tasktools.arguments.names import close_matches, is_known, resolve, shown
from tasktools.control.pause import Heard
from tasktools.exceptions import ArgumentError, NotFinished, NoTrace, TasktoolsError
from tasktools.management.pause_output import off
from tasktools.queues.pauses import QUEUE, TASK, Pause, utc_now
from tasktools.registry import registry
from tasktools.registry.candidates import queue_names

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand

#: The longest pause that ends by itself.
_LONGEST = timedelta(days=366)


def until(duration: str | None, reason: str, *, is_named: bool) -> timedelta | None:
    """Return how long a pause lasts. Raises ArgumentError."""
    if not is_named and (duration is not None or reason):
        raise ArgumentError("Which queue?", hint="manage.py pausequeue QUEUE --for 30m")
    if duration is None:
        return None
    span = parse_duration(duration)
    if not timedelta() < span <= _LONGEST:
        raise ArgumentError(
            f'--for is "{shown(duration)}".', hint="give a time such as 90s, 30m or 2h, a year at the most"
        )
    return span


def named(
    command: TasktoolsCommand, found: Found, queues: Sequence[str], tasks: Sequence[str]
) -> list[tuple[str, str]]:
    """Return what is to be paused. Raises ArgumentError, and TaskNameError for a name that can mean several tasks."""
    command.load_tasks(found)
    for each in (*queues, *tasks):
        if not each or render.printable(each) != each:
            raise ArgumentError(f'"{shown(each)}" is no name.', hint="manage.py showqueues and showtasks list them")
    full = [_task(command, found, each) for each in tasks]
    return list(dict.fromkeys([*((QUEUE, each) for each in queues), *((TASK, each) for each in full)]))


def to_resume(
    command: TasktoolsCommand, found: Found, queues: Sequence[str], tasks: Sequence[str], paused: Sequence[Pause]
) -> list[tuple[str, str]]:
    """Return what is to be resumed: for a task, the name of a paused one if what was typed stands for it."""
    names = [each.name for each in paused if each.what == TASK]
    full = [resolve(each, names) if is_known(each, names) else each for each in tasks]
    return [*((QUEUE, each) for each in queues), *((TASK, each) for each in full)]


def pauses(names: Sequence[tuple[str, str]], span: timedelta | None, reason: str) -> list[Pause]:
    since = utc_now()
    end = None if span is None else since + span
    return [Pause(what=what, name=name, since=since, until=end, by=_who(), reason=reason) for what, name in names]


def doubts(app: Celery, made: Sequence[Pause], heard: Heard) -> Iterator[TasktoolsError]:
    """Yield a warning for each queue and each task that nobody knows, since its name may be mistyped, and one of `unheard`."""
    known = {QUEUE: queue_names(app) | heard.queues, TASK: registry.names(app)}
    for each in made:
        names = known[each.what]
        if each.name not in names and not (each.what == TASK and each.name in app.tasks):
            close = close_matches(each.name, names)
            hint = f"did you mean {' or '.join(map(shown, close))}?" if close else _there_are(names)
            yield NoTrace(f'"{shown(each.name)}" is paused, but nobody knows a {each.what} of this name.', hint=hint)
    yield from unheard(heard)
    if any(each.until is not None for each in made):
        yield from _wrong_clocks(heard)


def _there_are(names: Collection[str]) -> str:
    return f"there are: {', '.join(map(shown, sorted(names)[:10]))}" if names else ""


def _wrong_clocks(heard: Heard) -> Iterator[TasktoolsError]:
    for name, seconds in heard.clocks.items():
        if name not in heard.over:
            where, when = ("ahead of", "earlier") if seconds > 0 else ("behind", "later")
            yield NotFinished(
                f"The clock of {shown(name)} is {off(seconds)} {where} this one: the pause ends so much {when} there.",
                hint="set the clocks, or pause without --for and run resumequeue",
            )


def unheard(heard: Heard) -> Iterator[TasktoolsError]:
    """Yield a warning if nobody knows whether more workers listen than have confirmed."""
    if heard.is_asked and not heard.knows_others:
        yield NotFinished(
            "Whether other workers listen is not known: the broker does not say.",
            hint="one that has not confirmed takes note within some seconds when it looks; until then it may begin a task",
        )


def _task(command: TasktoolsCommand, found: Found, typed: str) -> str:
    """Return the full name of a task. What nobody knows here may be known to the workers, if it is a full name.

    Raises TaskNameError.
    """
    command.load_rest_for(typed)
    names = registry.names(found.app, builtin=True)
    return typed if "." in typed and not is_known(typed, names) else resolve(typed, names)


def _who() -> str:
    """Return who runs this, as `user@machine`; "" for an account without a name."""
    with contextlib.suppress(Exception):  # a container may have no name for its user
        return f"{getpass.getuser()}@{socket.gethostname()}"
    return ""
