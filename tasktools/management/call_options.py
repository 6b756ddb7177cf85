"""The options that say how a task is called, for the commands that send."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.arguments.durations import parse_duration, parse_time
from tasktools.arguments.names import check_id, resolve, shown
from tasktools.arguments.numbers import whole_number
from tasktools.brokers import broker_of
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ArgumentError, TaskNameError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, entry_names, keywords, queue_names, task_names
from tasktools.publishing.single import app_of
from tasktools.registry.registry import names
from tasktools.startup import read_settings, require_timezone

if TYPE_CHECKING:
    from celery import Celery

#: A message's priority is one byte (AMQP 0-9-1, basic properties).
HIGHEST_PRIORITY = 255


def add_argument_options(parser: CommandParser) -> Callable[..., Any]:
    """Add the arguments that every call has, sent or not; return the `add_argument` of their group."""
    naming = "the task: its full name, or as much of its end as is unique"
    completed_by(parser.add_argument("name", nargs="?", help=naming), task_names)
    words = "an argument, or key=value; after -- also words like -x"
    completed_by(parser.add_argument("words", nargs="*", metavar="word", help=words), keywords)
    add: Callable[..., Any] = parser.add_argument_group("how it is called").add_argument
    add("--args", dest="args_json", metavar="JSON", help="positional arguments as a JSON array, before the words")
    add("--kwargs", dest="kwargs_json", metavar="JSON", help="keyword arguments as a JSON object")
    add("--task-id", metavar="ID", help="the id it gets, in place of a random one")
    return add


def add_calling_options(parser: CommandParser) -> None:
    """Add the name, the words, --args, --kwargs and the options of `apply_async`."""
    add = add_argument_options(parser)
    completed_by(add("--queue", help="the queue to send it to"), queue_names)
    add("--countdown", metavar="DURATION", help="run it that much later: 90, 90s, 5m, 1h30m, 2d")
    add("--eta", metavar="TIME", help="run it at that time: ISO 8601, without offset in the project's time zone")
    add("--expires", metavar="DURATION|TIME", help="drop it if it has not begun by then")
    add("--priority", metavar="N", help="0 to 255; what it means is the broker's affair (Redis: 0 is first)")
    add("--ignore-result", action="store_true", help="have the worker keep no result")


def add_entry_option(parser: CommandParser) -> None:
    text = "send what beat would send now for this entry of the schedule; no task and no arguments are named"
    completed_by(parser.add_argument("--entry", metavar="NAME", help=text), entry_names)


def calling_options(app: Celery, options: dict[str, Any]) -> dict[str, Any]:
    """Return what was typed as keyword arguments of `apply_async`.

    Raises ArgumentError for impossible options: both eta and countdown, a time in the past, a negative number.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if "eta" in given and "countdown" in given:
        raise ArgumentError("Both --eta and --countdown say when it is to run.", hint="give one of them")
    chosen: dict[str, Any] = {}
    if {"eta", "countdown", "expires"} & set(given):
        require_timezone(app)
    if "queue" in given:
        chosen["queue"] = _queue(app, given["queue"])
    if "countdown" in given:
        chosen["countdown"] = _later(given["countdown"])
    if "eta" in given:
        chosen["eta"] = _future(parse_time(given["eta"], app.timezone), "--eta", given["eta"])
    if "expires" in given:
        chosen["expires"] = _expiry(app, given["expires"])
    if "priority" in given:
        chosen["priority"] = _priority(str(given["priority"]))
    if "task_id" in given:
        chosen["task_id"] = check_id(given["task_id"])
    if given.get("ignore_result"):
        chosen["ignore_result"] = True
    return chosen


def _later(typed: Any) -> float:
    """Return a duration in seconds, after a check that it can be added to the present time."""
    span = parse_duration(typed)
    try:
        datetime.now(timezone.utc) + span
    except OverflowError:
        raise ArgumentError(f'"{shown(str(typed))}" leads beyond the year 9999.', hint="give a shorter time") from None
    return span.total_seconds()


def _queue(app: Celery, name: str) -> str:
    if not name:
        raise ArgumentError('No queue is called "".', hint="leave --queue out for the queue that the task goes to")
    if app.conf.task_create_missing_queues or name in app.amqp.queues:
        return name
    known = ", ".join(sorted(app.amqp.queues))
    raise ArgumentError(f'No queue is called "{shown(name)}".', hint=f"CELERY_TASK_QUEUES names: {known}")


def _future(time: datetime, option: str, typed: Any) -> datetime:
    if time <= datetime.now(time.tzinfo):
        sentence = f'{option} "{shown(str(typed))}" is in the past.'
        raise ArgumentError(sentence, hint="give a time to come, or leave it out to run it now")
    return time


def _expiry(app: Celery, typed: Any) -> float | datetime:
    if isinstance(typed, datetime) or "-" in str(typed)[1:]:  # a date: a duration has no dash inside
        return _future(parse_time(typed, app.timezone), "--expires", typed)
    return _later(typed)


def _priority(typed: str) -> int:
    number = whole_number(typed, least=0, most=HIGHEST_PRIORITY)
    if number is not None:
        return number
    raise ArgumentError(
        f'The priority "{shown(typed)}" is no number from 0 to {HIGHEST_PRIORITY}.', hint="0 to 9 serves every broker"
    )


def sender_of(command: TasktoolsCommand, found: Found, name: str | None) -> Found:
    """Return the app whose broker `.delay()` uses for the task that `name` stands for. Print a note if it is another app.

    Raises ProjectError when the settings of that app cannot be read.
    """
    try:
        full_name = resolve(name or "", names(found.app, builtin=True))
    except TaskNameError:
        return found  # the code that sends it reports what is wrong with the name
    app = app_of(found.app, full_name)
    if app is found.app:
        return found
    other = Found(app=app)
    read_settings(other)
    if not command.as_json:
        command.note(f"{full_name} is a task of the app {other.name or app}: it goes to {broker_of(app).uri()}.")
    return other


def listens(app: Celery) -> bool:
    """Whether only this process can get the result, so that it must subscribe when it sends (the rpc:// backend)."""
    return bool(str(app.conf.result_backend or "").startswith("rpc"))
