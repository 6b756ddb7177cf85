"""Where a task is that has no result, in words, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Container
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from celery.states import RETRY

from tasktools import render
from tasktools.arguments.names import listed
from tasktools.beat.words import span
from tasktools.queues.pauses import TASK
from tasktools.results.locate import NOWHERE, Located
from tasktools.results.outcome import Outcome

#: Possible reasons why nothing is known of a task.
NO_TRACE = (
    "the id may be mistyped or of a group that is not saved; it was never sent, or to another broker; its result has expired "
    "(CELERY_RESULT_EXPIRES) or was not kept (ignore_result); an earlier task of its chain failed; or its worker was killed"
)


def told(located: Located, declared: Collection[str]) -> Located:
    """Return the same, with the queues that are declared: a task that was not found may be in what was not read of a queue."""
    outcomes = located.outcomes
    if located.unread:
        outcomes = [replace(each, place="unknown") if each.place in NOWHERE else each for each in outcomes]
    return replace(located, outcomes=outcomes, declared=declared)


def place_of(outcome: Outcome, now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> str:
    """Return where an unfinished task is, with its time and its worker if these are known; "" if nobody has looked."""
    worker = outcome.worker or "a worker"
    if outcome.place == "queued":
        return f"{_queued(outcome)}{_due(outcome)}"
    if outcome.place == "active":
        return f"{worker} runs it{_running(outcome, now)}"
    if outcome.place == "scheduled":
        until = "it tries it again" if outcome.state == RETRY else "its time has come"
        return f"{worker} holds it until {until}{_due(outcome)}"
    if outcome.place in ("reserved", "ready"):  # what waits for its rate limit is "ready"
        done = "begun" if outcome.worker and outcome.waits else "finished"
        return f"{worker} has taken it and not {done} it{_due(outcome)}"
    if outcome.place in NOWHERE and not outcome.waits:
        return _LOST[outcome.place]
    return _PLACES.get(outcome.place or "", outcome.place or "")


_PLACES = {
    "revoked": "it was revoked, and no worker will run it",
    "silent": "no queue holds it, and a worker that may have it does not answer",
    "unasked": "no queue holds it, and the workers could not be asked",
    "none": "no trace of it: no queue holds it and no worker that answers has it",
    "unknown": "no worker that answers has it, and not all queues of this broker can be read",
}

#: The same for a task that has begun, or that has set a state of its own.
_LOST = {
    "silent": "no worker that answers runs it, and some do not answer",
    "unasked": "the workers could not be asked whether one runs it",
    "none": "no worker runs it: it has ended in this state, or its worker was killed",
    "unknown": "no worker that answers runs it",
}


def _queued(outcome: Outcome) -> str:
    if outcome.position is None:
        return "it waits in a queue, no worker has taken it"
    paused = "" if not outcome.paused else ": its task is paused" if outcome.pause == TASK else ", which is paused"
    return f'it waits at position {outcome.position:,} of the queue "{outcome.queue}"{paused}'


def _due(outcome: Outcome) -> str:
    return f" (due {outcome.eta.isoformat(timespec='seconds')})" if outcome.eta else ""


def _running(outcome: Outcome, now: Callable[[], datetime]) -> str:
    if outcome.started is None:
        return ""
    seconds = max(0.0, (now() - outcome.started).total_seconds())  # the clocks of two machines differ
    return f" for {span(timedelta(seconds=int(seconds) if seconds >= 10 else round(seconds, 1)))}"


def _unread_hint(outcome: Outcome, located: Located | None) -> str:
    """Return of which queues not all messages were read, and what reads them; "" if all were."""
    if located is None or not located.unread:
        return ""
    listed = ", ".join(f'"{queue}" ({count:,})' for queue, count in sorted(located.unread.items()))
    return f"not all messages were read: {listed}; {_deep(outcome)} reads them"


def waiting_hint(outcome: Outcome, timeout: float | None, located: Located | None) -> str:
    """Return what to do about a task that is not finished; `timeout` is how long the command has waited for it."""
    again = f"manage.py taskresult {outcome.id} --wait"
    if outcome.place == "unknown" and (hint := _unread_hint(outcome, located)):
        return hint
    if outcome.place == "silent":
        absent = sorted(located.absent) if located is not None else []
        who = (
            f"no answer from {listed(absent)}"
            if absent
            else f"{render.counted((located and located.silent) or 1, 'worker')} silent"
        )
        return f"{who}: a busy worker of the solo pool does not answer, nor does one that was killed; {again}"
    if located is not None and outcome.place in NOWHERE and (hint := _unlisted_hint(outcome, located)):
        return hint
    if outcome.paused:
        return "manage.py pausequeue shows since when, by whom and why; manage.py resumequeue goes on with it"
    if timeout is not None and outcome.place in ("active", "reserved", "scheduled", "ready"):
        return f"ask again: {again}"
    if timeout is not None:
        return f"is a worker running (manage.py {_worker(outcome, located)})? Ask again: {again}"
    if outcome.place == "unknown" and outcome.waits and outcome.state != RETRY:
        return "a task that waits and an unknown id look the same: check the id, or --wait for the result"
    if outcome.place == "queued":
        starts = f"{_worker(outcome, located)} starts a worker"
        return f"--wait waits for the result; showqueues says who takes from the queue, {starts}"
    if outcome.place == "reserved" and outcome.worker is None:
        return (
            "--wait waits for the result; what a killed worker had taken comes back after an hour (visibility timeout)"
        )
    return "--wait waits for the result"


def _worker(outcome: Outcome, located: Located | None) -> str:
    """Return the command that starts a worker which reads the queue of a task."""
    return worker_command(outcome.queue, located.declared if located else ()) if outcome.queue else "runworker"


def worker_command(queue: str, declared: Container[str]) -> str:
    """Return the command that starts a worker which reads a queue; without names it reads those that are declared."""
    return "runworker" if queue in declared else f"runworker -Q {shlex.quote(queue)}"


def _unlisted_hint(outcome: Outcome, located: Located) -> str:
    """Return how more tasks would be found; "" if all was looked at that this broker shows."""
    if located.refusal:
        return f"allow the user of the broker to ask workers (ACL SETUSER): {located.refusal}"
    if not located.is_listed:
        return "its user may not list the queues: allow it SCAN (ACL SETUSER), or check the id"
    if located.is_complete:
        return ""
    return f"not all keys of the database were looked at for queues: {_deep(outcome)} looks at all"


def _deep(outcome: Outcome) -> str:
    """Return the command that looks for a task everywhere: `enqueue --wait`, which gives the hint too, has no such option."""
    return f"manage.py taskresult {outcome.id} --deep"
