"""What is known of one task, for its page: its result, where it is, and its failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from celery.states import PENDING, RETRY, STARTED
from django.db import connections
from django.db.models import Q
from django.utils.translation import gettext as _

from tasktools import render, terminal
from tasktools.admin.confirming import error_text
from tasktools.admin.tasks_page import source, words
from tasktools.arguments.names import check_id
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.exceptions import TasktoolsError, Unreachable
from tasktools.failures import access
from tasktools.results import backend, locate
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

T = TypeVar("T")

#: How long the result backend, and then the queues and the workers, may take, in seconds.
LIMIT, ANSWERING = 1.5, 0.5

#: Characters of a text that are shown.
MOST = 20_000

#: How many failures of a task are shown, and what is read of them.
MOST_FAILURES = 20
_OF_FAILURES = ("task", "task_id", "state", "failed_at", "exception", "kind", "new_id", "queue", "worker")


@dataclass(frozen=True, kw_only=True)
class Known:
    outcome: Outcome
    #: Whether there are messages in long queues that were not read.
    is_partial: bool = False
    #: What could not be asked, and what to do about it.
    troubles: list[TasktoolsError]


def look(task_id: str) -> Known:
    """Return what is known of a task. Raises UsageError if no task can have this id, and TasktoolsError if there is no app."""
    check_id(task_id)
    app = source.remote().app
    troubles: list[TasktoolsError] = []
    kept = _kept(app, lambda: backend.look(app, task_id), troubles)
    if kept is not None and kept.finished:
        return Known(outcome=kept, troubles=troubles)
    placed, is_partial = _placed(app, kept or Outcome(id=task_id, state=PENDING), troubles)
    latest = None
    if kept is not None and placed.place in locate.NOWHERE:  # it may have ended meanwhile
        latest = _kept(app, lambda: locate.again(app, placed), troubles)
    return Known(outcome=latest or placed, is_partial=is_partial, troubles=troubles)


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


def failures(task_id: str) -> list[Any]:
    """Return the failures of a task, and what it was sent again as. Raises TasktoolsError."""
    with access.reading():
        rows = access.rows().filter(Q(task_id=task_id) | Q(new_id=task_id))
        return list(rows.only(*_OF_FAILURES)[:MOST_FAILURES])


def state_of(outcome: Outcome, is_partial: bool = False) -> str:
    """Return the state as a sentence: Celery's PENDING says nothing. `is_partial` is that of Known."""
    if outcome.state == "SUCCESS":
        return _("It has succeeded.")
    if outcome.state == "FAILURE":
        return _("It has failed.")
    if outcome.state == "REVOKED":
        return _("It was revoked.")
    if outcome.unreadable:
        return _("It has ended, and its result cannot be read.")
    places = _places_of_any()
    if not outcome.waits:
        places |= _places_of_begun()
    elif is_partial:
        places |= _places_of_partial()
    elif outcome.state == RETRY:
        places |= _places_of_retried()
    return places.get(outcome.place or "", _("It is not known where it is."))


def _places_of_any() -> dict[str, str]:
    """Return the sentences for the places; some are only true for a task that is PENDING."""
    return {
        "queued": _("It waits in a queue."),
        "reserved": _("A worker has taken it and not begun it."),
        "ready": _("A worker has taken it and not begun it."),
        "scheduled": _("A worker holds it until its time has come."),
        "active": _("A worker runs it."),
        "revoked": _("It is revoked: the worker that gets it discards it."),
        "silent": _("No queue has it, and some workers do not answer: one of these may have it."),
        "unasked": _("No queue has it, and the workers cannot be asked."),
        "none": _("There is no trace of it: it has never been sent, or nobody has kept its result."),
        "unknown": _(
            "No worker that answers has it, and not all queues of this broker can be read: it waits, or nobody sent it."
        ),
    }


def _places_of_retried() -> dict[str, str]:
    return {
        "none": _("It is to be tried again, and neither a queue nor a worker has it."),
        "unknown": _(
            "It is to be tried again. No worker that answers has it, and not all queues of this broker can be read."
        ),
    }


def _places_of_partial() -> dict[str, str]:
    """Return those of a task that waits, if long queues were not read to their end."""
    unread = _("Of long queues, not all messages were read: manage.py taskresult --deep reads them.")
    return {
        "silent": f"{_('No worker that answers has it, and some do not answer.')} {unread}",
        "unasked": f"{_('It is not known whether a worker has it: they cannot be asked.')} {unread}",
        "none": f"{_('No worker has it.')} {unread}",
    }


def _places_of_begun() -> dict[str, str]:
    # With acks_late, a message is kept while its task runs, and after its worker was killed.
    kept = _("It began, and its message is kept: it runs again if its worker is gone.")
    return {
        "queued": _("It began, and its message waits in a queue to run again."),
        "reserved": kept,
        "ready": kept,
        "silent": _("No worker that answers runs it, and some do not answer."),
        "unasked": _("It is not known whether a worker runs it: they cannot be asked."),
        "none": _("No worker runs it: it has ended in this state, or its worker was killed."),
        "unknown": _("No worker that answers runs it."),
    }


def is_revocable(known: Known) -> bool:
    """Whether to offer it: not for a task that has ended, nor for an id of which nobody has a trace."""
    outcome = known.outcome
    return not outcome.finished and (outcome.place != "none" or known.is_partial or outcome.state == RETRY)


def text(value: object) -> tuple[str, int]:
    """Return a value as a text that is cut and safe to show, and how long all of it is."""
    whole = value if isinstance(value, str) else render.repr_of(value)
    return terminal.block(whole[:MOST]), len(whole)


def told(task_id: str, revoke: str) -> dict[str, Any]:
    """Look, and return what the template shows. `revoke` is the address of the question before it is revoked."""
    known = look(task_id)
    outcome, error = known.outcome, known.outcome.error
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
        "state": state_of(outcome, known.is_partial),
        "task_name": words.name(outcome.task or "", 255),
        "worker": words.name(outcome.worker or "", 255),
        "queue": words.name(outcome.queue or "", 255),
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
    if own and (
        outcome.finished or outcome.place == "none"
    ):  # else it is in another queue by now, or at another worker
        found |= {"queue": outcome.queue or own.queue, "worker": outcome.worker or own.worker}
    return {key: words.name(value, 255) for key, value in found.items()}
