"""What became of tasks, by their ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery.states import EXCEPTION_STATES, PENDING, READY_STATES, REVOKED, SUCCESS

from tasktools import render
from tasktools.arguments.names import shown
from tasktools.brokers import broker_of
from tasktools.brokers.base import Trace
from tasktools.brokers.masking import masked
from tasktools.brokers.reach import reach, reason
from tasktools.brokers.timeouts import TimedOut
from tasktools.brokers.urls import port_hint
from tasktools.environment.shadowing import explained
from tasktools.exceptions import ConfigurationError, TasktoolsError, UsageError

if TYPE_CHECKING:
    from celery import Celery

#: The state of a result that is there and cannot be read: one of ours, for Celery's nobody knows.
UNREADABLE = "UNREADABLE"

#: Longest id that is looked up; Celery's own have 36 characters.
LONGEST_ID = 255

#: What makes results that every process can read.
SET_BACKEND = 'set CELERY_RESULT_BACKEND, as in CELERY_RESULT_BACKEND = "redis://localhost:6379/1"'

#: How long one look at the result backend may take, in seconds.
LOOK_LIMIT = 4.5

#: How long workers are given to answer whether they have a task, in seconds.
ANSWER_LIMIT = 0.7


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The exception that ended a task."""

    #: Its class, by name: "ValueError".
    type: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is known of one task at one moment."""

    id: str
    #: Celery's state, a custom one that the task has set, or UNREADABLE.
    state: str
    #: The returned value when it is done; for a state in between what the task has told with it (its meta).
    result: Any = None
    #: None as well for a failure of which the backend keeps no exception; for UNREADABLE why it is so.
    error: Failure | None = None
    #: The worker's traceback as text.
    traceback: str | None = None
    #: These four where the backend has them: it keeps name and worker with CELERY_RESULT_EXTENDED only.
    task: str | None = None
    worker: str | None = None
    retries: int | None = None
    #: An aware datetime or ISO 8601 text, as the backend gives it.
    date_done: Any = None
    #: For a pending one: "queued", "reserved", "active" or "scheduled" (a worker has it), "none", or None when nobody knows.
    place: str | None = None

    @property
    def finished(self) -> bool:
        return self.state in READY_STATES or self.unreadable

    @property
    def unreadable(self) -> bool:
        return self.state == UNREADABLE

    @property
    def succeeded(self) -> bool:
        return bool(self.state == SUCCESS)


def check_id(task_id: str) -> str:
    """Return the id, or raise UsageError when no task can have it."""
    if not task_id or len(task_id) > LONGEST_ID or not task_id.isprintable():
        raise UsageError(f'"{shown(task_id)}" is no task id.', hint="give the id that enqueue printed")
    return task_id


def check_backend(app: Celery) -> None:
    """Raise ConfigurationError when no result backend is configured, or it cannot be used."""
    from celery.backends.base import DisabledBackend

    try:
        backend = app.backend
    except Exception as error:
        raise explained(error) or ConfigurationError(
            f'The result backend "{masked(app.conf.result_backend)}" cannot be used: {reason(error)}.',
            hint=port_hint(error) or "mend CELERY_RESULT_BACKEND, or install its library",
        ) from error
    if isinstance(backend, DisabledBackend):
        raise ConfigurationError(
            "No result backend is configured, so results are not kept.",
            hint=SET_BACKEND,
        )


def look(app: Celery, task_id: str) -> Outcome:
    """Return what the result backend knows of a task now; UNREADABLE where it answers and that cannot be read.

    Raises Unreachable when the backend does not answer.
    """
    return reach(_backend_name(app), LOOK_LIMIT, _look, app, task_id)


def locate(app: Celery, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes, the pending ones with their place: in a queue, with a worker, or nowhere.

    The broker is asked first, then (it takes ANSWER_LIMIT) the workers; a busy solo worker cannot answer. Of a broker
    whose queues cannot be read the place stays None unless a worker has the task.
    """
    pending = [outcome.id for outcome in outcomes if outcome.state == PENDING]
    if not pending:
        return list(outcomes)
    broker = broker_of(app)
    broker.prepare()
    traces = reach(broker.name, LOOK_LIMIT, broker.find, pending) if broker.supports_find else {}
    lost = [task_id for task_id in pending if task_id not in traces or traces[task_id].place != "queued"]
    claims = reach(broker.name, LOOK_LIMIT, _ask_workers, app, lost) if lost else {}
    unknown = "none" if broker.supports_find else None
    return [_placed(outcome, traces, claims, unknown) if outcome.id in pending else outcome for outcome in outcomes]


def wait(
    app: Celery,
    task_ids: Sequence[str],
    *,
    timeout: float | None,
    interval: float = 0.5,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Outcome]:
    """Yield each task's outcome when it is final, and those that are not when `timeout` (seconds) has passed.

    Looks are 10 ms apart at first, then up to `interval` seconds.
    """
    deadline = None if timeout is None else clock() + timeout
    open_ids, pause = list(task_ids), min(0.01, interval)
    while open_ids:
        outcomes = [look(app, task_id) for task_id in open_ids]
        timed_out = deadline is not None and clock() >= deadline
        yield from (each for each in outcomes if each.finished or timed_out)
        open_ids = [] if timed_out else [each.id for each in outcomes if not each.finished]
        if open_ids:
            sleep(pause if deadline is None else max(0.0, min(pause, deadline - clock())))
            pause = min(pause * 1.5, interval)


def outcome_of(task_id: str, meta: dict[str, Any]) -> Outcome:
    """Return what a backend's meta dictionary says (celery.backends.base.Backend.get_task_meta).

    It has `status` and `result`; `traceback`, `date_done`, `name`, `worker` and `retries` where the backend keeps them.

    Raises TypeError or KeyError when it is no such dictionary: other programs write to the backend too.
    """
    state, result = meta["status"], meta.get("result")
    if not isinstance(state, str):
        raise TypeError(f"its status is a {type(state).__name__}")
    failed = state in EXCEPTION_STATES
    return Outcome(
        id=task_id,
        state=state,
        result=None if failed else result,
        error=_failure(result) if failed and state != REVOKED else None,
        traceback=_text(meta.get("traceback")) or None,
        task=_text(meta.get("name")),
        worker=_text(meta.get("worker")),
        retries=meta.get("retries"),
        date_done=meta.get("date_done"),
    )


def of_eager(result: Any) -> Outcome:
    """Return the outcome of an EagerResult: the task has run in this process."""
    return outcome_of(result.id, {"status": result.state, "result": result.result, "traceback": result.traceback})


def _look(app: Celery, task_id: str) -> Outcome:
    """Look for a result. One that fails again although the backend answers for another id is that one's trouble."""
    try:
        return outcome_of(task_id, app.backend.get_task_meta(task_id))
    except (TimedOut, TasktoolsError, KeyboardInterrupt):
        raise
    except BaseException:  # an exception of the project's is made again, by its own code
        if not _answers(app):
            raise
    try:
        return outcome_of(task_id, app.backend.get_task_meta(task_id))
    except (TimedOut, TasktoolsError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001
        why = Failure(type=type(error).__name__, message=reason(error))
        return Outcome(id=task_id, state=UNREADABLE, error=why)


def _answers(app: Celery) -> bool:
    """Whether the backend can say of some other id that it knows nothing of it."""
    try:
        app.backend.get_task_meta(str(uuid4()))
    except TimedOut:
        raise
    except Exception:  # noqa: BLE001 - each backend has errors of its own
        return False
    return True


def _text(value: Any) -> str | None:
    return None if value is None else render.text_of(value)


def _failure(result: Any) -> Failure | None:
    if isinstance(result, BaseException):
        return Failure(type=type(result).__name__, message=render.text_of(result))
    if isinstance(result, dict) and "exc_type" in result:
        return Failure(type=str(result["exc_type"]), message=str(result.get("exc_message", "")))
    return None if result is None else Failure(type="", message=render.text_of(result))


def _backend_name(app: Celery) -> str:
    try:
        uri = app.backend.as_uri(include_password=False)
    except Exception:  # noqa: BLE001 - it may fail to read its own URL
        uri = app.conf.result_backend
    return f'The result backend "{masked(uri)}"'


def _ask_workers(app: Celery, task_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return, for each task that a worker has, that worker and the place that it gives."""
    replies = app.control.inspect(timeout=ANSWER_LIMIT).query_task(*task_ids) or {}
    return {task_id: (worker, found[0]) for worker, tasks in replies.items() for task_id, found in tasks.items()}


def _placed(
    outcome: Outcome, traces: dict[str, Trace], claims: dict[str, tuple[str, str]], unknown: str | None
) -> Outcome:
    worker, place = claims.get(outcome.id, (None, None))
    if place is None:
        place = traces[outcome.id].place if outcome.id in traces else unknown
    return replace(outcome, place=place, worker=worker)
