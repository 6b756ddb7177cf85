"""What is known of one task, and the sentence that says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery.states import RETRY
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasktools.exceptions import TasktoolsError
from tasktools.queues.pauses import QUEUE, TASK
from tasktools.results import locate
from tasktools.results.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class Known:
    outcome: Outcome
    #: Whether there are messages in long queues that were not read.
    is_partial: bool = False
    #: Whether the result backend has been asked after all else: else nobody knows whether the task has ended.
    is_asked: bool = True
    #: What Django's Tasks framework has kept of it.
    record: dict[str, Any]
    #: What could not be asked, and what to do about it.
    troubles: list[TasktoolsError]


def state_of(known: Known) -> str:
    """Return the state as a sentence: Celery's PENDING says nothing."""
    outcome = known.outcome
    if outcome.state == "SUCCESS":
        return _("It has succeeded.")
    if outcome.state == "FAILURE":
        return _("It has failed.")
    if outcome.state == "REVOKED":
        return _("It was revoked.")
    if outcome.unreadable:
        return _("It has ended, and its result cannot be read.")
    found = _places(known).get(outcome.place or "", _("It is not known where it is."))
    if outcome.place == "queued" and outcome.waits:
        return str(_PAUSED.get(outcome.pause, found))
    if outcome.place in locate.NOWHERE and not known.is_asked:
        return f"{found} {_('Its result could not be looked up: it may have ended.')}"
    return found


def _places(known: Known) -> dict[str, str]:
    """Return the sentences for the places of a task that has not ended, as far as that is known."""
    places = _places_of_any()
    if not known.outcome.waits:
        places |= _places_of_begun()
    elif known.is_partial:
        places |= _places_of_partial()
    elif not known.is_asked:
        places |= {"none": _("Neither a queue nor a worker has it."), "unknown": _("No worker that answers has it.")}
    elif known.outcome.state == RETRY:
        places |= _places_of_retried()
    return places


#: What is said of a task that waits, by its `pause`.
_PAUSED: dict[str, Any] = {
    QUEUE: gettext_lazy("It waits in a queue that is paused."),
    TASK: gettext_lazy("It waits in a queue, and the task is paused."),
}


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
