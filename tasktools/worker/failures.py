"""Where a worker learns that a task has failed: Celery's requests and its consumer, in the worker's main process.

A request of Celery decides there, whatever the pool, what becomes of a message: this notes what it has decided. One request is
noted once: a hard time limit is followed by the end of its process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from celery import bootsteps, signals
from celery.worker import state, strategy

from tasktools import celery_compat
from tasktools.failures.failure import Failure, Mended
from tasktools.failures.message import kept
from tasktools.failures.notes import NOT_RECORDED
from tasktools.models import Kind
from tasktools.worker import failure_words as words
from tasktools.worker import request_outcome
from tasktools.worker.requests import snapshot

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.failures.notes import Make
    from tasktools.worker.protocols import Consumer

logger = logging.getLogger("tasktools.failures")


class Writer(Protocol):
    """What takes failures (tasktools.failures.writer.Writer). It neither raises nor waits."""

    def note(self, make: Make, size: int) -> None: ...

    def put(self, item: Failure | Mended) -> None: ...


def install(app: Celery, writer: Writer) -> Recorder:
    """Have the worker that is about to start in this process give `writer` each task that fails."""
    recorder = Recorder(writer)
    signals.task_failure.connect(recorder.hear, weak=False, dispatch_uid="tasktools.failures")
    signals.worker_shutting_down.connect(recorder.hold, weak=False, dispatch_uid="tasktools.failures")
    celery_compat.CREATE_REQUEST.put(strategy, request_outcome.creating(celery_compat.CREATE_REQUEST.here(), recorder))

    class FailureStep(_FailureStep):
        name = f"{__name__}.FailureStep"

        def __init__(self, consumer: Any, **options: object) -> None:
            super().__init__(consumer, **options)
            recorder.watch(consumer)

    app.steps["consumer"].add(FailureStep)
    return recorder


class _FailureStep(bootsteps.Step):
    """In the blueprint of a consumer: it is made before the consumer reads what it calls."""

    def __init__(self, consumer: Any, **options: object) -> None:
        pass


class Recorder:
    """Makes failures of what Celery reports. Nothing that it does can harm a task or the worker's loop."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        #: What Celery has said in this thread about the request that it is at: the exception, and its traceback's text.
        self._heard = threading.local()
        self._consumer: Any = None
        self._process = os.getpid()
        #: What ran when the stop began: Celery forgets them while it stops.
        self._held: list[Any] = []

    def watch(self, consumer: Consumer) -> None:
        """Note what this consumer drops without making a request of it."""
        self._consumer = consumer
        for private, noted in (
            (celery_compat.ON_UNKNOWN_TASK, lambda body, message, exc: self._unregistered(message)),
            (celery_compat.ON_UNKNOWN_MESSAGE, lambda body, message: self._undecodable(message, None)),
            (celery_compat.ON_INVALID_TASK, lambda body, message, exc: self._undecodable(message, exc)),
            (celery_compat.ON_DECODE_ERROR, self._undecodable),
        ):
            private.wrap(consumer, _after(noted))
        # A cold stop clears the requests ahead of Celery's signal.
        celery_compat.SOFT_SHUTDOWN.wrap(consumer.controller, self._holding)

    def hear(self, exception: Any = None, einfo: Any = None, **_: Any) -> None:
        """Note that Celery has declared the request of this thread as failed. A receiver of task_failure.

        Where nobody listens, as in the pool's processes and threads, it would keep the exception and its frames alive.
        """
        if getattr(self._heard, "process", None) == os.getpid():
            self._heard.last = (exception, einfo)

    def listen(self) -> None:
        """Begin to keep what `hear` gets in this thread."""
        self._heard.last, self._heard.process = None, os.getpid()

    def heard(self) -> Any:
        """Return what `hear` got since `listen`, the last of it, and keep nothing more; None if it got nothing."""
        last = self._heard.last
        self._heard.last = self._heard.process = None
        return last

    def failed(self, request: Any, kind: Kind | None, exc: Any, einfo: Any, *, reason: str | None = None) -> None:
        """Note the failure of a request, once. Without a kind, what the exception says is decisive.

        The exception is read here: it may have frames, which are not to be kept. The message does not change any more.
        """
        if request.is_noted:
            return
        request.is_noted = True
        try:
            headers, message = request.request_dict, request.message
            reason = words.reason_of(exc) if reason is None else reason
            traceback = words.traceback_of(exc, einfo)
            make = partial(
                _failure,
                message,
                self._queues(),
                kind=kind or words.kind_of(exc, einfo, headers, request.task),
                task_id=str(request.id),
                task=str(request.type),
                exception=words.name_of(exc),
                reason=reason,
                traceback=traceback,
                worker=str(request.hostname),
                started_at=request.time_start,
                failed_at=time.time(),
                retries=words.count(headers.get("retries")),
            )
            self._writer.note(make, len(message.body or b"") + len(reason) + len(traceback))
        except Exception:
            logger.exception(NOT_RECORDED)

    def succeeded(self, request: Any) -> None:
        """Note that a task has succeeded that `retryfailed` had sent again."""
        with _harmless():
            self._writer.put(Mended(task_id=str(request.id)))

    def hold(self, **_: Any) -> None:
        """Keep the requests that run now or may soon, for `cut_off`. A receiver of worker_shutting_down."""
        self._held += snapshot(state.reserved_requests)

    def _holding(self, wait: Callable[..., object]) -> Callable[..., object]:
        def hold_and_wait(*args: object, **options: object) -> object:
            self.hold()
            return wait(*args, **options)

        return hold_and_wait

    def cut_off(self) -> None:
        """Note the tasks that this worker, which has ended, has begun and not finished, if no other one will get them."""
        if os.getpid() != self._process:
            return
        for request in [*self._held, *snapshot(state.active_requests)]:
            begun = request.time_start is not None and request.message.acknowledged
            if begun and not getattr(request, "is_over", True):
                self.failed(request, Kind.LOST, None, None, reason=words.CUT_OFF)

    def _queues(self) -> tuple[Any, ...]:
        """Return the queues of the worker now. When the failure is made of its note, some may have been cancelled."""
        return tuple(getattr(getattr(self._consumer, "task_consumer", None), "queues", ()))

    def _unregistered(self, message: Any) -> None:
        task_id, task = words.identity(message)
        reason = f'The task "{task}" is not registered in this worker.'
        self._dropped(Kind.UNREGISTERED, message, (task_id, task), "celery.exceptions.NotRegistered", reason)

    def _undecodable(self, message: Any, exc: Any) -> None:
        reason = "The message names no task." if exc is None else words.reason_of(exc)
        self._dropped(Kind.UNDECODABLE, message, words.identity(message), words.name_of(exc), reason)

    def _dropped(self, kind: Kind, message: Any, whose: tuple[str, str], exception: str, reason: str) -> None:
        self._writer.put(
            _failure(
                message,
                self._queues(),
                kind=kind,
                task_id=whose[0],
                task=whose[1],
                exception=exception,
                reason=reason,
                worker=str(self._consumer.hostname),
                retries=words.count((message.headers or {}).get("retries")),
            )
        )


def _failure(message: Any, queues: tuple[Any, ...], **known: Any) -> Failure:
    """Return the failure of a message that came from one of these queues."""
    return Failure(message=kept(message), queue=words.queue_of(message, queues), **known)


@contextlib.contextmanager
def _harmless() -> Any:
    try:
        yield
    except Exception:
        logger.exception(NOT_RECORDED)


def _after(noted: Callable[..., None]) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Return a wrapper of a method that calls `noted` with the same arguments when the method is over."""

    def wrapper(method: Callable[..., object]) -> Callable[..., object]:
        def both(*args: Any) -> object:
            try:
                return method(*args)
            finally:
                with _harmless():
                    noted(*args)

        return both

    return wrapper
