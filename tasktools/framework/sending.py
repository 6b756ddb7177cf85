"""A call of the framework -> a message of Celery."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from django.utils import timezone

from tasktools.arguments.call import FRAMEWORK_HEADER, Call
from tasktools.exceptions import InDoubt
from tasktools.framework import deferral, publishers, record, running, store
from tasktools.framework.registration import queue_of
from tasktools.publishing.one_by_one import require_fit


def fitting(task: Any, result: Any) -> Call:
    """Return the call of a TaskResult, without its options. Raises TypeError for arguments that the function does not take."""
    call = Call(task=task.name, args=result.args, kwargs=result.kwargs)
    require_fit(task, call)
    return call


def send(task: Any, result: Any, *, keeps: bool, priority: int | None) -> None:
    """Send the call of a TaskResult with the task of Celery; with `keeps`, its record is there before its message.

    Raises TypeError for arguments that the function does not take, Unreachable and what else a Publisher raises, and what
    the result backend does.
    """
    call = fitting(task, result)
    record.change(result, enqueued_at=timezone.now())
    try:
        _send(task, call._replace(options=_options(task, result, priority)), record.written(result) if keeps else None)
    except BaseException:
        record.change(result, enqueued_at=None)
        raise
    if result.task.run_after is not None:
        deferral.warn(task.app, task.name, result.task.run_after)


def _send(task: Any, call: Call, kept: dict[str, Any] | None) -> None:
    """Send a call over a connection that is kept, where the broker takes transactions; else by Celery alone."""
    backend, task_id = task.backend, call.options["task_id"]
    with publishers.publisher(task.app) as publisher:
        if not publisher.is_atomic:
            with _kept(backend, task_id, kept):
                task.apply_async(call.args, call.kwargs, **call.options)
            return
        publisher.open()
        if kept is not None and store.shares_database(backend, publisher.keys.client):
            key, value, seconds = store.on_redis(backend, task_id, kept)
            publisher.send([call], stored={key: (value, seconds)})
            return
        with _kept(backend, task_id, kept):
            publisher.send([call])


@contextlib.contextmanager
def _kept(backend: Any, task_id: str, kept: dict[str, Any] | None) -> Iterator[None]:
    """Store a record before the block, and remove it if the block sends nothing."""
    if kept is None:
        yield
        return
    store.write(backend, task_id, kept)
    try:
        yield
    except InDoubt:
        raise  # a worker may have the message
    except BaseException:
        with contextlib.suppress(Exception):  # what matters is why it was not sent
            store.forget(backend, task_id)
        raise


def _options(task: Any, result: Any, priority: int | None) -> dict[str, Any]:
    called = result.task
    header = {**record.chosen(called), "enqueued_at": result.enqueued_at.isoformat()}
    options: dict[str, Any] = {"task_id": result.id, "headers": {FRAMEWORK_HEADER: header}, "priority": priority}
    queue = queue_of(called)
    if queue is not None or task.queue is not None:
        # With None, Celery routes the call; without the option it takes the queue of the decorator.
        options["queue"] = queue
    if called.run_after is not None:
        options["eta"] = timezone.make_aware(after) if timezone.is_naive(after := called.run_after) else after
    return options


def run_here(task: Any, result: Any, enqueued: Callable[[], Any]) -> None:
    """Run the call in this process, as CELERY_TASK_ALWAYS_EAGER says.

    Raises TypeError for arguments that the function does not take.
    """
    fitting(task, result)
    record.change(result, enqueued_at=timezone.now())
    enqueued()
    with running.in_this_process(result):
        task.apply(result.args, result.kwargs, task_id=result.id, throw=False)
