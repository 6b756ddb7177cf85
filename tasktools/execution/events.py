"""What surrounds a run of a task in this process: no result is stored, and each event is reported."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from celery.app.trace import TraceInfo
from celery.backends.base import DisabledBackend
from celery.result import allow_join_result
from celery.states import SUCCESS

from tasktools.celery_compat import TASK_BACKEND

if TYPE_CHECKING:
    from celery import Celery, Signature


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The task has called update_state."""

    state: str
    meta: object


@dataclass(frozen=True, kw_only=True)
class Changed:
    """The serializer has changed a value."""

    #: "argument 1", 'argument "key"', "progress", "result".
    what: str
    before: object
    after: object


@dataclass(frozen=True, kw_only=True)
class Raised:
    """The task has raised an exception. Its frames still hold their variables while this is reported."""

    error: BaseException
    #: The traceback from the task's own frame on; for a retry, that of the exception which led to it.
    traceback: TracebackType | None
    text: str
    #: Whether it asks to be tried again.
    retry: bool


class NotingInfo(TraceInfo):
    """Reports what the task has raised, before it does what a worker does."""

    def __init__(self, state: str, error: BaseException, note: Callable[[BaseException], None]) -> None:
        super().__init__(state, error)
        self.note = note

    def handle_failure(self, *args: Any, **kwargs: Any) -> Any:
        self.note(self.retval)
        return super().handle_failure(*args, **kwargs)

    def handle_retry(self, *args: Any, **kwargs: Any) -> Any:
        self.note(self.retval)
        return super().handle_retry(*args, **kwargs)


class NotingBackend(DisabledBackend):
    """Replaces the result backend of one task: it stores nothing, and passes progress and result on."""

    app: Any  # Backend sets it; its types do not say so

    def __init__(
        self,
        app: Celery,
        task_id: str,
        *,
        on_progress: Callable[[str, object], object],
        on_done: Callable[[object, bool], None],
    ) -> None:
        """`on_progress` returns the meta after serialization; `on_done` gets the result, and whether a worker would store it."""
        super().__init__(app=app)
        self.task_id, self.on_progress, self.on_done = task_id, on_progress, on_done
        self.meta: dict[str, object] = {"status": "STARTED", "result": None}

    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        if state == "STARTED" and isinstance(result, dict) and set(result) == {"pid", "hostname"}:
            return result  # the tracer's own, for CELERY_TASK_TRACK_STARTED
        meta = self.on_progress(state, result)
        if task_id == self.task_id:
            self.meta = {"status": state, "result": meta}
        return result

    def mark_as_done(
        self, task_id: str, result: object, request: object = None, store_result: bool = True, state: str = SUCCESS
    ) -> None:
        self.on_done(result, store_result)

    def mark_as_failure(self, *args: object, **kwargs: object) -> None: ...

    def mark_as_retry(self, *args: object, **kwargs: object) -> None: ...

    def get_task_meta(self, task_id: str, cache: bool = True) -> Any:
        return self.meta if task_id == self.task_id else self.app.backend.get_task_meta(task_id)


@contextlib.contextmanager
def lent(task: Any, backend: NotingBackend) -> Iterator[None]:
    """Make the task use `backend` inside the block, and let self.replace wait for the replacement, which runs here too."""
    before, on_replace = TASK_BACKEND.of(task), task.on_replace

    def replaced(signature: Signature) -> object:
        with allow_join_result():
            return on_replace(signature)

    task.backend, task.on_replace = backend, replaced
    try:
        yield
    finally:
        task.backend = before
        del task.on_replace


@contextlib.contextmanager
def unheard_log() -> Iterator[None]:
    """Keep the tracer's log record of a failure off stderr if no logging is set up: the failure is reported anyway."""
    logger = logging.getLogger("celery.app.trace")
    handler = logging.NullHandler()
    heard = logger.hasHandlers()
    if not heard:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
