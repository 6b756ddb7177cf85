"""What is known about a task, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from celery.states import EXCEPTION_STATES, PENDING, READY_STATES, RETRY, SUCCESS
from celery.utils.serialization import UnpickleableExceptionWrapper

from tasktools import render
from tasktools.exceptions import tried

#: The state of a result that exists but cannot be read. It is tasktools' own state: Celery's state is not known then.
UNREADABLE = "UNREADABLE"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The exception that ended a task."""

    #: Its class, by name: "ValueError".
    type: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is known about one task at one moment."""

    id: str
    #: Celery's state, a custom one that the task has set, or UNREADABLE.
    state: str
    #: The returned value when it is done; for a state in between, what the task has reported with it (its meta).
    result: Any = None
    #: Also for a task that was revoked, and for the last attempt of one that is tried again. None if the backend keeps no
    #: exception. For UNREADABLE, the reason.
    error: Failure | None = None
    #: The worker's traceback as text.
    traceback: str | None = None
    #: These four if the backend has them: it keeps name and worker only with CELERY_RESULT_EXTENDED. For a task that has not
    #: run yet, its message and its worker name them.
    task: str | None = None
    worker: str | None = None
    retries: int | None = None
    #: An aware datetime or ISO 8601 text, as the backend gives it.
    date_done: Any = None
    #: For a task that is not finished: "queued"; "reserved", "active", "scheduled" or "ready" (a worker has it); "revoked" (a
    #: worker drops it when it gets it); "silent" (nowhere, and some workers do not answer); "unasked" (nowhere, and the broker
    #: does not let the workers be asked); "none"; "unknown" (not all queues of this broker can be read). None if
    #: nobody has looked.
    place: str | None = None
    #: For a task that waits in a queue: the queue, and its position there; 1 is taken next.
    queue: str | None = None
    position: int | None = None
    #: Whether that queue is paused, or the task itself; and which of the two: QUEUE or TASK of queues.pauses, "" for none, which
    #: JSON leaves out.
    paused: bool = field(default=False, init=False)
    pause: str = field(default="", metadata={"json": False})
    #: Since when a worker runs it, by the clock of the worker.
    started: datetime | None = None
    #: When a waiting task is to run, if that is known.
    eta: datetime | None = None
    #: The task that has called it, if the backend keeps that.
    parent: str | None = None
    #: What it has called, as Celery writes it (see results.tree). JSON leaves it out: there may be thousands.
    children: Any = field(default=None, repr=False, compare=False, metadata={"json": False})

    def __post_init__(self) -> None:
        object.__setattr__(self, "paused", bool(self.pause))

    @property
    def finished(self) -> bool:
        return self.state in READY_STATES or self.unreadable

    @property
    def waits(self) -> bool:
        """Whether its message may still be somewhere: it has not run yet, or it will run again."""
        return self.state in (PENDING, RETRY)

    @property
    def unreadable(self) -> bool:
        return self.state == UNREADABLE

    @property
    def succeeded(self) -> bool:
        return bool(self.state == SUCCESS)


def outcome_of(task_id: str, meta: dict[str, Any]) -> Outcome:
    """Return what a backend's meta dictionary says (celery.backends.base.Backend.get_task_meta).

    It has `status` and `result`; also `traceback`, `date_done`, `name`, `worker` and `retries` if the backend keeps them.
    django-celery-results calls the name `task_name`.

    Raises TypeError or KeyError if it is not such a dictionary: other programs write to the backend too.
    """
    state, result = meta["status"], meta.get("result")
    if not isinstance(state, str):
        raise TypeError(f"its status is a {type(state).__name__}")
    failed = state in EXCEPTION_STATES
    return Outcome(
        id=task_id,
        state=state,
        result=None if failed else result,
        error=_failure(result) if failed else None,
        traceback=_text(meta.get("traceback")) or None,
        task=_text(meta.get("name") or meta.get("task_name")),
        worker=_text(meta.get("worker")),
        retries=meta.get("retries"),
        date_done=meta.get("date_done"),
        parent=parent if isinstance(parent := meta.get("parent_id"), str) else None,
        children=meta.get("children"),
    )


def of_eager(result: Any) -> Outcome:
    """Return the outcome of an EagerResult: the task has run in this process."""
    return outcome_of(result.id, {"status": result.state, "result": result.result, "traceback": result.traceback})


def _text(value: Any) -> str | None:
    return None if value is None else render.text_of(value)


def _failure(result: Any) -> Failure | None:
    if isinstance(result, UnpickleableExceptionWrapper):  # in it a pool process hands on what cannot be pickled
        wrapper = result
        result = tried(wrapper.restore, lambda _: wrapper)
    if isinstance(result, BaseException):
        return Failure(type=type(result).__name__, message=render.text_of(result))
    if isinstance(result, dict) and "exc_type" in result:
        return Failure(type=str(result["exc_type"]), message=str(result.get("exc_message", "")))
    return None if result is None else Failure(type="", message=render.text_of(result))
