"""What is kept of a task of the framework: its TaskResult as JSON, and back.

Celery's own result has no place for most of it: when it was enqueued and began, each attempt and its worker, the errors.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from datetime import timezone as utc_zone
from typing import Any

from django.utils import timezone

from tasktools import render
from tasktools.framework.library import Library

#: The fields of a Task that `using` may change, but `run_after`, which is a time.
_CHOSEN = ("priority", "backend", "queue_name")

_TIMES = ("enqueued_at", "started_at", "finished_at", "last_attempted_at")

#: The name of the attribute in which a TaskResult has the value that was returned.
VALUE = "_return_value"


def change(result: Any, **values: Any) -> None:
    """Change a TaskResult, which is frozen for everybody but its backend."""
    for name, value in values.items():
        object.__setattr__(result, name, value)


def written(result: Any) -> dict[str, Any]:
    """Return a TaskResult as values of JSON."""
    task = result.task
    return {
        "task": task.module_path,
        "args": result.args,
        "kwargs": result.kwargs,
        **chosen(task),
        "status": str(result.status),
        **{name: _text(getattr(result, name)) for name in _TIMES},
        "workers": result.worker_ids,
        "errors": [[error.exception_class_path, error.traceback] for error in result.errors],
        "value": getattr(result, VALUE),
    }


def chosen(task: Any) -> dict[str, Any]:
    """Return what a call has chosen for itself, as values of JSON."""
    values = {name: getattr(task, name) for name in _CHOSEN}
    return {**values, "priority": int(task.priority), "run_after": _text(task.run_after)}


def read(library: Library, task_id: str, task: Any, record: dict[str, Any]) -> Any:
    """Return the TaskResult of a record; `task` is the Task that it belongs to. Raises KeyError and others for another record."""
    meant = _as_chosen(library, task, record)
    result = library.Result(
        task=meant,
        id=task_id,
        status=library.Status(record["status"]),
        args=list(record["args"]),
        kwargs=dict(record["kwargs"]),
        backend=meant.backend,
        errors=[library.Error(exception_class_path=path, traceback=text) for path, text in record["errors"]],
        worker_ids=list(record["workers"]),
        **{name: _time(record[name]) for name in _TIMES},
    )
    change(result, **{VALUE: record["value"]})
    return result


def new(library: Library, task_id: str, task: Any, args: Any, kwargs: Any) -> Any:
    """Return the TaskResult of a call that is about to be enqueued. Raises TypeError and ValueError for what is not JSON."""
    return library.Result(
        task=task,
        id=task_id,
        status=library.Status.READY,
        enqueued_at=None,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=args,
        kwargs=kwargs,
        backend=task.backend,
        errors=[],
        worker_ids=[],
    )


def arrived(library: Library, task_id: str, task: Any, call: tuple[Any, Any], header: Any) -> Any:
    """Return the TaskResult of a message without a record: a command, beat or a stock client has sent it, or nothing is kept."""
    header = header if isinstance(header, dict) else {}
    args, kwargs = (_json(library, each) for each in call)
    result = new(library, task_id, _as_chosen(library, task, header), args, kwargs)
    change(result, enqueued_at=_time(header.get("enqueued_at")))
    return result


def _json(library: Library, value: Any) -> Any:
    """Return arguments as JSON; those that cannot be (a date that enqueue has read) as text."""
    try:
        return library.normalize_json(value)
    except (TypeError, ValueError):
        if isinstance(value, dict):
            return {str(key): _json(library, each) for key, each in value.items()}
        return [_json(library, each) for each in value] if isinstance(value, (list, tuple)) else render.text_of(value)


def _as_chosen(library: Library, task: Any, record: dict[str, Any]) -> Any:
    """Return the task with what its call had chosen, even if its backend would refuse that by now."""
    values = {name: _like(record.get(name), getattr(task, name)) for name in _CHOSEN}
    values["run_after"] = _time(record.get("run_after"))
    if not library.has(values["backend"]):
        values["backend"] = task.backend
    if all(getattr(task, name) == value for name, value in values.items()):
        return task
    try:
        return replace(task, **values)
    except library.InvalidTask:
        copy = object.__new__(type(task))
        change(copy, **{each.name: values.get(each.name, getattr(task, each.name)) for each in fields(task)})
        return copy


def _like(value: Any, usual: Any) -> Any:
    """Return a value, or the usual one if it is of another type: anybody may write a message."""
    return value if type(value) is type(usual) else usual


def require_time(library: Library, after: datetime | None) -> None:
    """Raise the library's InvalidTask for a `run_after` that has no equivalent in UTC, or here: the calendar ends in 9999."""
    try:
        is_there = after is None or _time(_text(after)) is not None
    except OverflowError:
        is_there = False
    if not is_there:
        sentence = (
            f"run_after is {after}, and in UTC or in the time zone of the site that is not in the years 1 to 9999."
        )
        raise library.InvalidTask(sentence)


def _text(time: datetime | None) -> str | None:
    """Return a time as text in UTC. Without USE_TZ, Django's times are naive, and local."""
    if time is None:
        return None
    return (timezone.make_aware(time) if timezone.is_naive(time) else time).astimezone(utc_zone.utc).isoformat()


def _time(text: Any) -> datetime | None:
    """Return the time of a record; None for what is none here. Anybody may have written it, also in another time zone."""
    try:
        return as_django(datetime.fromisoformat(text)) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def as_django(time: datetime) -> datetime:
    """Return a time as Django's own times are: in UTC, or without USE_TZ naive and local. A naive one is in UTC."""
    time = (time.replace(tzinfo=utc_zone.utc) if time.tzinfo is None else time).astimezone(utc_zone.utc)
    return time if timezone.is_aware(timezone.now()) else timezone.make_naive(time)
