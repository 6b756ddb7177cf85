"""What is known of one task, for its page: its result, where it is, and its failures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from celery.states import PENDING, STARTED
from django.db import connections
from django.db.models import Q
from django.utils.translation import gettext as _

from tasktools import render, terminal
from tasktools.admin.confirming import error_text
from tasktools.admin.tasks_page import recorded, source, words
from tasktools.admin.tasks_page.states import Known, is_revocable, state_of
from tasktools.arguments.names import check_id
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.exceptions import TasktoolsError, Unreachable
from tasktools.failures import access
from tasktools.results import backend, locate, paused
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

T = TypeVar("T")

#: How long the result backend, and then the queues and the workers, may take, in seconds; and what the framework has recorded.
LIMIT, ANSWERING, RECORDED = 1.5, 0.5, 1.0

#: Characters of a text that are shown.
MOST = 20_000

#: How many failures of a task are shown, and what is read of them.
MOST_FAILURES = 20
_OF_FAILURES = ("task", "task_id", "state", "failed_at", "exception", "kind", "new_id", "queue", "worker")


def look(task_id: str) -> Known:
    """Return what is known of a task. Raises UsageError if no task can have this id, and TasktoolsError if there is no app."""
    check_id(task_id)
    app = source.remote().app
    troubles: list[TasktoolsError] = []
    kept = _kept(app, lambda: backend.look(app, task_id), troubles)
    record = {} if kept is None else _record(app, task_id)
    if kept is not None and kept.finished:
        return Known(outcome=kept, record=record, troubles=troubles)
    placed, is_partial = _placed(app, kept or Outcome(id=task_id, state=PENDING), troubles)
    if kept is not None and placed.place in locate.NOWHERE:  # it may have ended meanwhile
        latest = _kept(app, lambda: locate.again(app, placed), troubles)
        kept, placed = latest, latest or placed
    return Known(
        outcome=_marked(app, placed), is_partial=is_partial, is_asked=kept is not None, record=record, troubles=troubles
    )


def _kept(app: Celery, look: Callable[[], Outcome], troubles: list[TasktoolsError]) -> Outcome | None:
    """Return what the result backend has, as `look` returns it; None if it does not say."""
    try:
        backend.check_backend(app)
        found: Outcome = within_thread(LIMIT, _closing, look)
        return found
    except TimedOut:
        hint = "look again in a moment; manage.py taskdoctor looks into it"
        troubles.append(Unreachable("The result backend does not answer.", hint=hint))
    except TasktoolsError as error:
        troubles.append(error)
    return None


def _record(app: Celery, task_id: str) -> dict[str, Any]:
    """Return what the framework has recorded; empty if that takes too long. The result is read by then."""
    try:
        found: dict[str, Any] = within_thread(RECORDED, _closing, lambda: recorded.read(app, task_id))
        return found
    except TimedOut:
        return {}


def _closing(call: Callable[[], T]) -> T:
    """Return what the call does, and close the database of this thread, which ends: the results may be in it."""
    try:
        return call()
    finally:
        connections.close_all()


def _placed(app: Celery, outcome: Outcome, troubles: list[TasktoolsError]) -> tuple[Outcome, bool]:
    """Return the outcome with its place, in a queue or at a worker, and whether some messages were not read for that."""
    try:
        located = within_thread(
            LIMIT, _closing, lambda: locate.places(app, [outcome], limit=ANSWERING, needs_workers=False)
        )
    except TimedOut:
        hint = "look again in a moment; manage.py taskresult takes longer"
        troubles.append(Unreachable("Where it is was not found in time.", hint=hint))
    except TasktoolsError as error:
        troubles.append(error)
    else:
        return located.outcomes[0], bool(located.unread)
    return replace(outcome, place=None), False


def _marked(app: Celery, outcome: Outcome) -> Outcome:
    """Return the outcome; that of a task that waits in a queue says whether that or the task is paused, if that is known."""
    if outcome.place == "queued":
        with contextlib.suppress(TimedOut):
            [outcome] = within_thread(LIMIT, _closing, lambda: paused.marked(app, [outcome]))
    return outcome


def failures(task_id: str) -> list[Any]:
    """Return the failures of a task, and what it was sent again as. Raises TasktoolsError."""
    with access.reading():
        rows = access.rows().filter(Q(task_id=task_id) | Q(new_id=task_id))
        return list(rows.only(*_OF_FAILURES)[:MOST_FAILURES])


def text(value: object) -> tuple[str, int]:
    """Return a value as a text that is cut and safe to show, and how long all of it is."""
    whole = value if isinstance(value, str) else render.repr_of(value)
    return terminal.block(whole[:MOST]), len(whole)


def told(task_id: str, revoke: str) -> dict[str, Any]:
    """Look, and return what the template shows. `revoke` is the address of the question before it is revoked."""
    known = look(task_id)
    outcome = recorded.named(known.outcome, known.record)
    error = outcome.error
    # What a worker writes when it begins a task is its name and process, and no result.
    kept = None if outcome.state == STARTED else outcome.result
    texts = [
        (label, name, *text(value))
        for name, label, value in (
            ("result", _("Result") if outcome.finished else _("Reported by the task"), kept),
            ("error", _("Exception"), f"{error.type}: {error.message}" if error else None),
            ("traceback", _("Traceback"), outcome.traceback),
        )
        if value is not None
    ]
    return {
        "outcome": outcome,
        "state": state_of(known),
        "task_name": words.name(outcome.task, 255) if outcome.task else "",
        "worker": words.name(outcome.worker or "", 255),
        "queue": words.name(outcome.queue or "", 255),
        "times": recorded.times(outcome, known.record),
        "attempts": recorded.attempts(known.record),
        "celery_state": words.name(outcome.state, 60),
        "texts": texts,
        "revoke": revoke if is_revocable(known) else "",
        "is_unknown": outcome.state == PENDING and not is_revocable(known),
        "troubles": [error_text(each) for each in known.troubles],
    }


def named(outcome: Outcome, rows: list[Any]) -> dict[str, str]:
    """Return what the template shows of a task's names: those that its outcome lacks are in the rows of its failures.

    A result backend keeps no names unless CELERY_RESULT_EXTENDED is on. The row of a task that was sent again as this one has the
    same name, and nothing else of this one.
    """
    own = next((each for each in rows if each.task_id == outcome.id), None)
    found = {"task_name": outcome.task or next((each.task for each in (own, *rows) if each), "")}
    is_over = outcome.finished or outcome.place == "none"  # else it is in another queue by now, or at another worker
    if own and is_over:
        found |= {"queue": outcome.queue or own.queue, "worker": outcome.worker or own.worker}
    return {key: words.name(value, 255) for key, value in found.items()}
