"""What becomes of a task that a worker has begun: Celery's requests decide that; those made here note it as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from billiard.exceptions import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry
from celery.worker import state

from tasktools import celery_compat
from tasktools.failures.message import RETRY_OF
from tasktools.models import Kind
from tasktools.worker import failure_words as words

#: The kinds that an exception of Celery or its pool has of its own.
_KINDS = (
    ((WorkerLostError, SystemExit, KeyboardInterrupt), Kind.LOST),
    (TimeLimitExceeded, Kind.HARD_LIMIT),
    (SoftTimeLimitExceeded, Kind.SOFT_LIMIT),
    (Reject, Kind.REJECTED),
)


class Recorder(Protocol):
    """What is told (tasktools.worker.failures.Recorder)."""

    def listen(self) -> None: ...

    def heard(self) -> Any: ...

    def failed(self, request: Any, kind: Kind | None, exc: Any, einfo: Any, *, reason: str | None = None) -> None: ...

    def succeeded(self, request: Any) -> None: ...


def creating(create: Callable[..., type], recorder: Recorder) -> Callable[..., type]:
    """Return a function that makes the class of a task's requests as Celery does, but tells `recorder` how they end."""
    create = getattr(create, "creates", create)

    def create_request_cls(*args: Any, **options: Any) -> type:
        return _noting(create(*args, **options), recorder)

    vars(create_request_cls)["creates"] = create
    return create_request_cls


def _noting(base: Any, recorder: Recorder) -> type:
    class Request(base):
        is_returned = False  # to the queue
        is_noted = is_over = False

        def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
            self.is_over = True
            certain = True  # if Celery fails itself
            recorder.listen()
            try:
                answer = super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
                certain = return_ok
                return answer
            finally:
                _judge(self, recorder, exc_info, recorder.heard(), certain=certain)

        def on_timeout(self, soft: bool, timeout: Any) -> Any:
            try:
                return super().on_timeout(soft, timeout)
            finally:
                _judge_timeout(self, recorder, soft, timeout)

        def on_success(self, failed__retval__runtime: Any, **options: Any) -> Any:
            self.is_over = True
            answer = super().on_success(failed__retval__runtime, **options)
            if RETRY_OF in self.request_dict and not failed__retval__runtime[0]:
                recorder.succeeded(self)
            return answer

        def reject(self, requeue: bool = False) -> Any:
            self.is_returned = self.is_returned or (requeue and not self.acknowledged)
            return super().reject(requeue=requeue)

        def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> Any:
            try:
                return super()._announce_revoked(reason, terminated, signum, expired)
            finally:
                _note_revoked(self, recorder, terminated, signum)

    return Request


def _judge(request: Any, recorder: Recorder, einfo: Any, said: Any, *, certain: bool) -> None:
    """Note a failure, if it is one.

    `said` is what Celery has said in task_failure while it decided: the exception and its traceback; None if nothing. It says
    it of each lost process, unless the task goes on elsewhere, or had succeeded before. What a task has raised, its own process
    has said: `certain`.
    """
    if celery_compat.ALREADY_CANCELLED.get(request):  # with its connection, or by the stop of its worker
        if request.message.acknowledged:  # else the broker gives it back
            recorder.failed(request, Kind.LOST, None, None, reason=words.CUT_OFF)
        return
    exc = words.unwrapped(einfo.exception)
    if isinstance(exc, Reject):
        certain = not exc.requeue  # type: ignore[attr-defined]
    elif isinstance(exc, WorkerLostError):
        certain = False
    elif isinstance(exc, MemoryError):
        certain = bool(request.acknowledged)  # Celery ends the worker: what is not acknowledged goes back
    if isinstance(exc, (Ignore, Retry, Terminated)) or request.is_returned or not (said or certain):
        return
    final, why = (words.unwrapped(said[0]), said[1]) if said else (exc, einfo)
    kind = next((kind for each, kind in _KINDS if isinstance(final, each)), None)
    recorder.failed(request, kind, final, why)


def _note_revoked(request: Any, recorder: Recorder, terminated: bool, signum: Any) -> None:
    """Note a task that was ended from outside while it ran. Only one that was revoked has the number of a signal."""
    if not terminated:
        return
    if isinstance(signum, int):
        recorder.failed(request, Kind.TERMINATED, None, None, reason=words.terminated_by(signum))
    else:
        recorder.failed(request, Kind.LOST, None, None, reason=words.CUT_OFF)


def _judge_timeout(request: Any, recorder: Recorder, soft: bool, timeout: Any) -> None:
    """Note that a hard time limit has ended a task. In a cold stop, Celery does not say so."""
    if not soft and not request.is_returned and celery_compat.SHOULD_TERMINATE.of(state) is None:
        recorder.failed(request, Kind.HARD_LIMIT, TimeLimitExceeded(timeout), None)
