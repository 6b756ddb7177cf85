"""A worker runs a task of the framework: the context, the record of each attempt, the signals."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from traceback import format_exception
from typing import Any

from celery.exceptions import Reject, Retry, SoftTimeLimitExceeded
from django.utils import timezone

from tasktools.arguments.call import FRAMEWORK_HEADER
from tasktools.brokers.reach import reason
from tasktools.framework import record, store
from tasktools.registry import exits

logger = logging.getLogger("tasktools")

#: The TaskResult of the call that this process runs itself (task_always_eager).
_here: ContextVar[Any] = ContextVar("tasktools.framework.here", default=None)


@contextlib.contextmanager
def in_this_process(result: Any) -> Iterator[None]:
    """Have the run of the call inside the block change this TaskResult, in place of a record."""
    token = _here.set(result)
    try:
        yield
    finally:
        _here.reset(token)


def run(task: Any, args: Any, kwargs: Any) -> Any:
    """Run the function of a task (`registration.FrameworkTask`) as an attempt; return its value as JSON.

    Raises what the function does, and TaskExit for what is no Exception: that of exit(), or asyncio's CancelledError. It would
    go through Celery, and nobody would hear of the task again. What ends the process (`exits.is_end`) leaves the attempt open:
    Celery revokes the task, or gives its message to another worker.
    """
    attempt = _Attempt(task, args, kwargs)
    try:
        attempt.begin()
        value = attempt.library.normalize_json(_call(attempt, args, kwargs))
        attempt.done(value)
    except BaseException as error:
        if exits.is_end(error):
            raise
        attempt.ended(error)
        failure = exits.failure_of(error)
        if failure is None:
            raise
        raise failure from error
    return value


def _call(attempt: _Attempt, args: Any, kwargs: Any) -> Any:
    task = attempt.result.task
    if task.takes_context:
        return task.call(attempt.library.Context(task_result=attempt.result), *args, **kwargs)
    return task.call(*args, **kwargs)


class _Attempt:
    """One run of a call, and the TaskResult of the call."""

    def __init__(self, task: Any, args: Any, kwargs: Any) -> None:
        request = task.request
        self.library = task.library
        self._id, self._worker = request.id, request.hostname or "celery"
        here = _here.get()
        self._is_here = here is not None and here.id == self._id
        self._backend = task.backend if not self._is_here and store.keeps(task, request) else None
        self.result = here if self._is_here else self._found(task, args, kwargs)
        self._sender = type(self.library.backend(self.result.backend))

    def _found(self, task: Any, args: Any, kwargs: Any) -> Any:
        django_task = task.django_task
        with self._tried("read"):
            kept = None if self._backend is None else store.read(self._backend, self._id)
            if kept is not None:
                return record.read(self.library, self._id, django_task, kept)
        header = getattr(task.request, FRAMEWORK_HEADER, None) or (task.request.headers or {}).get(FRAMEWORK_HEADER)
        result = record.arrived(self.library, self._id, django_task, (args, kwargs), header)
        # Without a record, the attempts before this one have left only their number.
        result.worker_ids.extend([self._worker] * (task.request.retries or 0))
        return result

    def begin(self) -> None:
        now = timezone.now()
        self.result.worker_ids.append(self._worker)
        started = self.result.started_at or now
        self._change("RUNNING", started_at=started, last_attempted_at=now, finished_at=None)
        self._signal("task_started")

    def done(self, value: Any) -> None:
        self._change("SUCCESSFUL", finished_at=timezone.now(), **{record.VALUE: value})
        self._signal("task_finished")

    def ended(self, error: BaseException) -> None:
        """Note that the attempt has raised an error, and whether another one comes."""
        cause = error.exc if isinstance(error, Retry) else None
        self._note(cause if isinstance(cause, BaseException) else error)
        if isinstance(error, Retry) or (isinstance(error, Reject) and getattr(error, "requeue", False)):
            self._change("READY")
            return
        self._change("FAILED", finished_at=timezone.now())
        self._signal("task_finished")

    def _note(self, error: BaseException) -> None:
        kind = type(error)
        path = f"{kind.__module__}.{kind.__qualname__}"
        text = "".join(format_exception(type(error), error, error.__traceback__))
        self.result.errors.append(self.library.Error(exception_class_path=path, traceback=text))

    def _change(self, status: str, **values: Any) -> None:
        record.change(self.result, status=self.library.Status(status), **values)
        if self._backend is not None:
            with self._tried("written"):
                store.write(self._backend, self._id, record.written(self.result))

    def _signal(self, name: str) -> None:
        """Send a signal. Django logs what a receiver raises: who watches a task must not change how it ends."""
        answers = getattr(self.library.signals, name).send_robust(sender=self._sender, task_result=self.result)
        for _, answer in answers:
            if isinstance(answer, SoftTimeLimitExceeded):  # the pool raises it only once, wherever the task is
                raise answer

    @contextlib.contextmanager
    def _tried(self, what: str) -> Iterator[None]:
        """A task runs although its record cannot be read or written: the function is what matters."""
        try:
            yield
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:  # noqa: BLE001 - each backend has errors of its own
            # SQLAlchemy goes on with the statement and its parameters, which are the arguments of the task.
            why = reason(error).partition("[SQL")[0].rstrip()
            logger.error("The record of the task %s cannot be %s: %s: %s", self._id, what, type(error).__name__, why)
