"""What showqueues prints: the queues as tables or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any

from tasktools.arguments.names import shown
from tasktools.beat.words import span
from tasktools.management.layout import Table
from tasktools.management.queue_options import Asked
from tasktools.queues.aside import PREFIX
from tasktools.queues.look import Look, QueueInfo
from tasktools.queues.messages import Message, cut
from tasktools.queues.pauses import Pause, sentence

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

UNKNOWN = "unknown"

#: How much of the arguments of a message is shown, in characters.
_LONGEST_ARGUMENTS = 40


def show(command: TasktoolsCommand, seen: Look, asked: Asked, *, no_color: bool) -> None:
    """Print the queues."""
    if command.as_json:
        command.print_json(document(seen))
        return
    for place, table in enumerate(tables(seen, asked)):
        if place:
            command.print_line("")
        command.print_table(table.columns, table.rows, spare=table.spare, is_whole=table.is_whole, no_color=no_color)
    for each in seen.queues:
        if each.unread:
            command.note(f'"{shown(each.name)}": {each.unread:,} more messages were not read. --deep reads all.')


def document(seen: Look) -> dict[str, Any]:
    """Return what --json prints."""
    queues = [replace(each, name=cut(each.name)) for each in seen.queues]
    return {"queues": queues, "is_complete": seen.is_complete, "paused_tasks": seen.paused_tasks}


def pause_notes(seen: Look, asked: Asked, zone: tzinfo) -> Iterator[str]:
    """Yield since when, by whom and why each of the queues is paused, if the table does not say it, and each task."""
    queues = [] if asked.detailed else [each.paused for each in seen.queues if each.paused]
    yield from (sentence(each, zone) for each in [*queues, *seen.paused_tasks])


def tables(seen: Look, asked: Asked) -> Iterator[Table]:
    """Yield what is asked for: the tasks, the messages, or the queues themselves."""
    if asked.by_task:
        rows = [row for each in seen.queues for row in _by_task(each)]
        yield Table(("QUEUE", "TASK", "WAITING", "SHARE"), rows)
    if asked.peek:
        now = datetime.now(timezone.utc)
        rows = [row for each in seen.queues for row in _messages(each, now)]
        columns = ("QUEUE", "NEXT", "TASK", "ARGUMENTS", "AGE", "RETRIES", "PRIORITY", "ETA", "ID")
        yield Table(columns, rows, ("ID", "ETA", "PRIORITY", "RETRIES", "AGE", "ARGUMENTS"), is_whole=True)
    if not (asked.by_task or asked.peek):
        yield _queues(seen.queues, measured=asked.interval is not None, detailed=asked.detailed)


def _queues(queues: Sequence[QueueInfo], *, measured: bool, detailed: bool) -> Table:
    columns = ["QUEUE", "READY", "UNACKED", "LATER", "CONSUMERS", "OLDEST", "TAKEN"]
    columns += ["IN/S", "OUT/S", "GROWTH/S"] * measured
    rows = [_row(each, measured=measured, detailed=detailed) for each in queues]
    spare = ("TAKEN", "LATER", *["GROWTH/S"] * measured, "UNACKED")
    return Table([*columns, "NOTE"], rows, spare)


def _row(info: QueueInfo, *, measured: bool, detailed: bool) -> Sequence[str]:
    rates = (_rate(info.added), _rate(info.taken), _rate(info.growth, sign="+")) if measured else ()
    return (
        _queue(info),
        *map(_number, (info.ready, info.unacked, info.later, info.consumers)),
        "" if info.ready == 0 else _span(info.oldest),
        "" if info.unacked == 0 else _span(info.oldest_taken),
        *rates,
        ", ".join(_notes(info, detailed=detailed)),
    )


def _notes(info: QueueInfo, *, detailed: bool) -> Iterator[str]:
    if info.is_other_type:
        yield "another program's key"
    if info.name.startswith(PREFIX):
        yield "of a paused task"
        return
    if info.paused:
        yield _paused(info.paused) if detailed else "paused"
    if info.exists is False:
        yield "does not exist"
    elif info.consumers == 0 and (info.ready or info.is_declared):
        yield "no consumer"
    if not info.is_declared:
        yield "undeclared"


def _paused(pause: Pause) -> str:
    """Return since when a queue is paused, until when, by whom and why."""
    now = datetime.now(timezone.utc)
    end = "" if pause.until is None else f", for {_span(max(0.0, (pause.until - now).total_seconds()))} more"
    by = f" by {shown(pause.by)}" if pause.by else ""
    why = f": {shown(pause.reason, 80)}" if pause.reason else ""
    return f"paused {_span(max(0.0, (now - pause.since).total_seconds()))} ago{by}{end}{why}"


def _by_task(info: QueueInfo) -> Iterator[Sequence[str]]:
    rows = [(_task(each.task), each.count) for each in info.tasks or ()]
    if info.others:
        rows.append(("(others)", info.others))
    whole = sum(count for _, count in rows)
    for task, count in rows:
        yield _queue(info), task, f"{count:,}", f"{count / whole:.1%}"
    if info.unread:
        yield _queue(info), "(not read)", f"{info.unread:,}", ""


def _messages(info: QueueInfo, now: datetime) -> Iterator[Sequence[str]]:
    for place, each in enumerate(info.messages or (), 1):
        age = _span(None if each.sent is None else max(0.0, (now - each.sent).total_seconds()))
        told = (_number(each.retries), _number(each.priority), shown(each.eta or ""), shown(each.id or UNKNOWN))
        yield _queue(info), str(place), _task(each.task), _arguments(each), age, *told


def _queue(info: QueueInfo) -> str:
    return shown(info.name, 120)


def _task(name: str | None) -> str:
    return "(no task of Celery)" if name is None else shown(name, 120)


def _arguments(message: Message) -> str:
    """Return the arguments as a call has them, as far as the message shows them."""
    if message.args is None and message.kwargs is None:
        return UNKNOWN
    parts = [message.args or "()", *([message.kwargs] if message.kwargs not in (None, "{}") else [])]
    return shown(" ".join(parts), _LONGEST_ARGUMENTS)


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _rate(value: float | None, *, sign: str = "") -> str:
    return UNKNOWN if value is None else f"{value:{sign},.1f}"


def _span(seconds: float | None) -> str:
    """Return a length of time in two units at the most."""
    if seconds is None:
        return UNKNOWN
    unit = 1 if seconds < 3600 else 60 if seconds < 86400 else 3600
    return span(timedelta(seconds=seconds // unit * unit))
