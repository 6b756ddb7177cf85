"""The TaskResult of an id: its record, and what Celery knows that the record does not."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery import states
from django.utils.module_loading import import_string

from tasktools.arguments.names import check_id
from tasktools.exceptions import UsageError
from tasktools.framework import record, registration, store
from tasktools.framework.library import Library

if TYPE_CHECKING:
    from celery import Celery


def find(app: Celery, library: Library, task_id: str) -> Any:
    """Return the TaskResult of a call. Raises DoesNotExist of the library, and what the result backend does."""
    kept = store.read(app.backend, task_id) if _is_one(task_id) else None
    if kept is None:
        raise library.DoesNotExist(task_id)
    task = _task(app, library, kept.get("task"))
    if task is None:
        raise library.DoesNotExist(f'{task_id} belongs to "{kept.get("task")}", which is no task of this project')
    result = record.read(library, task_id, task, kept)
    if not result.is_finished:
        _ended(app, library, result)
    return result


def _is_one(task_id: str) -> bool:
    """Whether a task can have this id: backends raise errors of their own for some that come from an address of the site."""
    try:
        check_id(task_id)
    except UsageError:
        return False
    return True


def _task(app: Any, library: Library, name: Any) -> Any:
    found = registration.django_task(app, str(name))
    if found is not None:
        return found
    try:
        found = import_string(str(name))
    except ImportError:
        return None
    return found if isinstance(found, library.Task) else None


def _ended(app: Any, library: Library, result: Any) -> None:
    """Add the end that is in no record: the worker was killed or could not write it, or the task was revoked.

    Celery has a result then.
    """
    meta = app.backend.get_task_meta(result.id)
    state = meta.get("status")
    if state == states.STARTED and not result.attempts:
        record.change(result, status=library.Status.RUNNING)
    if state not in (states.SUCCESS, states.FAILURE, states.REVOKED):
        return
    done = _moment(meta.get("date_done"))
    if done and result.last_attempted_at and done < result.last_attempted_at:
        return  # the end of an earlier attempt
    if state == states.SUCCESS:
        record.change(result, status=library.Status.SUCCESSFUL, finished_at=done, **{record.VALUE: meta.get("result")})
        return
    record.change(result, status=library.Status.FAILED, finished_at=done)
    result.errors.append(_error(library, meta))


def _error(library: Library, meta: Any) -> Any:
    kind = type(meta.get("result"))
    text = str(meta.get("traceback") or f"{kind.__name__}: {meta.get('result')}\n")
    return library.Error(exception_class_path=f"{kind.__module__}.{kind.__qualname__}", traceback=text)


def _moment(value: Any) -> datetime | None:
    """Return the time of a result as Django's. A naive one, as databases have it, is in UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return record.as_django(moment) if isinstance(moment, datetime) else None
