"""Which failed tasks are meant, and what the table says about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from django.db import connections
from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from tasktools.arguments.names import close_matches, is_known, matches, resolve, shown
from tasktools.exceptions import NoTrace, UsageError
from tasktools.failures.access import database, reading, rows
from tasktools.failures.row import for_database
from tasktools.models import FailedTask, State

#: A beginning of an id stands for it from this length on.
LEAST = 4

#: How many ids a hint lists.
_MOST_LISTED = 5

#: The states of what is open: not sent again, or not surely.
OPEN = (State.FAILED, State.SENDING)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for. Everything that is given must be true of a row."""

    #: A part of a task's name, or a pattern.
    pattern: str = ""
    #: A task and an exception as they are typed: a full name, its end, or a pattern.
    task: str | None = None
    exception: str | None = None
    #: Aware times: from, and before.
    since: datetime | None = None
    until: datetime | None = None
    #: None for all.
    states: Sequence[str] | None = OPEN


@dataclass(frozen=True, kw_only=True)
class Group:
    """The failures of one task by one exception."""

    task: str
    exception: str
    count: int
    first_at: datetime
    last_at: datetime


def select(wanted: Wanted) -> Any:
    """Return the rows that are meant, the newest first, as a queryset.

    Raises NoTrace for a task or exception that no failed task has, TaskNameError for a name that stands for several tasks.
    """
    found = rows()
    if wanted.pattern:
        found = found.filter(task__in=[each for each in _names("task") if matches(each, wanted.pattern)])
    if wanted.task is not None:
        found = found.filter(task__in=_tasks(wanted.task))
    if wanted.exception is not None:
        found = found.filter(exception__in=_exceptions(wanted.exception))
    if wanted.since is not None:
        found = found.filter(failed_at__gte=for_database(wanted.since))
    if wanted.until is not None:
        found = found.filter(failed_at__lt=for_database(wanted.until))
    return found if wanted.states is None else found.filter(state__in=list(wanted.states))


def groups(found: Any, zone: tzinfo, most: int | None = None) -> list[Group]:
    """Return these rows by task and exception, the group of the newest failure first, with times in a zone.

    `most` is how many groups are returned.
    """
    with reading():
        counted = found.order_by().values("task", "exception")
        counted = counted.annotate(count=Count("pk"), first=Min("failed_at"), last=Max("failed_at"))
        return [
            Group(
                task=each["task"],
                exception=each["exception"],
                count=each["count"],
                first_at=aware(each["first"]).astimezone(zone),
                last_at=aware(each["last"]).astimezone(zone),
            )
            for each in counted.order_by("-last", "task", "exception")[:most]
        ]


def find(typed: str) -> FailedTask:
    """Return the row that `typed` stands for: the id of a failed task, its beginning, or its primary key, alone or after "#".

    An id and the beginning of one come first: a number stands for a row if no id begins with it.

    If a task has failed several times under its id, it is the newest. Raises NoTrace, and UsageError for a beginning of several.
    """
    row = look(typed)
    if row is None:
        hint = "manage.py showfailed --state all lists them; old ones may be forgotten"
        raise NoTrace(f'There is no failed task "{shown(typed)}".', hint=hint)
    return row


def look(typed: str) -> FailedTask | None:
    """Return what `find` does; None if there is no such row."""
    with reading():
        if typed.startswith("#"):
            return _by_number(typed[1:])
        if "\0" in typed or any(
            "\ud800" <= each <= "\udfff" for each in typed
        ):  # no database takes these, and no row has them
            return None
        same: FailedTask | None = rows().filter(Q(task_id=typed)).first()
        if same is not None or len(typed) < LEAST:
            return same or _by_number(typed)
        alike = rows().filter(task_id__startswith=typed).order_by().values_list("task_id", flat=True).distinct()
        ids = sorted(alike[: _MOST_LISTED + 1])
        if len(ids) > 1:
            more = " and more" if len(ids) > _MOST_LISTED else ""
            sentence = f'"{shown(typed)}" is the beginning of several ids.'
            raise UsageError(sentence, hint=f"type more of it: {', '.join(map(shown, ids[:_MOST_LISTED]))}{more}")
        return rows().filter(task_id=ids[0]).first() if ids else _by_number(typed)


def _by_number(typed: str) -> FailedTask | None:
    is_number = typed.isascii() and typed.isdecimal() and len(typed) < 19
    found: FailedTask | None = rows().filter(pk=int(typed)).first() if is_number else None
    return found


def history(row: FailedTask) -> list[FailedTask]:
    """Return the failures of one call, the first one first: those that were sent again as this one, it, and its retries."""
    found, most = [row], 100
    with reading():
        first = row
        while first.retry_of and len(found) < most:
            before = _light().filter(new_id=first.task_id, task_id=first.retry_of).first()
            if before is None or before.pk in {each.pk for each in found}:
                break
            found.insert(0, before)
            first = before
        last = row
        while last.new_id and len(found) < most:
            after = _light().filter(task_id=last.new_id).first()
            if after is None or after.pk in {each.pk for each in found}:
                break
            found.append(after)
            last = after
    return found


def _light() -> Any:
    return rows().defer("message", "body", "traceback")


def light(found: Any) -> Any:
    """Return a queryset without what is long."""
    return found.defer("message", "body", "traceback", "arguments")


def aware(value: datetime) -> datetime:
    """Return a time of the table with its zone: a project without USE_TZ keeps times without one."""
    return timezone.make_aware(value) if timezone.is_naive(value) else value


def _names(field: str) -> list[str]:
    with reading():
        return sorted(rows().order_by().values_list(field, flat=True).distinct())


def _tasks(typed: str) -> list[str]:
    names = _names("task")
    if _is_pattern(typed):
        return _some(typed, [each for each in names if matches(each, typed)], names, "task")
    return [resolve(typed, names)] if is_known(typed, names) else _some(typed, [], names, "task")


def _exceptions(typed: str) -> list[str]:
    names = _names("exception")
    if _is_pattern(typed):
        return _some(typed, [each for each in names if matches(each, typed)], names, "exception")
    return _some(typed, [each for each in names if is_known(typed, [each])], names, "exception")


def _is_pattern(typed: str) -> bool:
    return bool(set(typed) & set("*?"))


def _some(typed: str, found: list[str], names: Iterable[str], noun: str) -> list[str]:
    if found:
        return found
    names = [each for each in names if each]
    close = close_matches(typed, names) or sorted(names)[:_MOST_LISTED]
    is_task = noun == "task"
    sentence = f'No task "{shown(typed)}" has failed.' if is_task else f'No task has failed with "{shown(typed)}".'
    raise NoTrace(sentence, hint=f"there are: {', '.join(map(shown, close))}" if close else "nothing has failed")


def has_task(pattern: str) -> bool:
    """Whether a task has failed whose name a pattern matches."""
    return any(matches(each, pattern) for each in _names("task"))


def among(ids: Sequence[str]) -> set[str]:
    """Return those of the ids that failed tasks have. It closes the connection of its thread. Raises what Django does."""
    connection = connections[database()]
    try:
        return set(rows().filter(task_id__in=ids).values_list("task_id", flat=True))
    finally:
        if not connection.in_atomic_block:
            connection.close()
