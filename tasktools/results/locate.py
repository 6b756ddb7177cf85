"""Find a task that has no result yet: in a queue, with a worker, or nowhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils.dateparse import parse_datetime

from tasktools.brokers import broker_of
from tasktools.brokers.base import Trace
from tasktools.brokers.reach import is_forbidden
from tasktools.control import answers
from tasktools.control.numbers import moment, number
from tasktools.control.readers import LIMIT
from tasktools.exceptions import Unreachable
from tasktools.queues import position
from tasktools.results import backend
from tasktools.results.outcome import Outcome
from tasktools.results.paused import marked

if TYPE_CHECKING:
    from celery import Celery

#: The places of a task that was not found.
NOWHERE = ("none", "silent", "unasked", "unknown")

#: What a worker says of a task that it has, by its own name for it.
_HELD = ("active", "scheduled", "reserved", "ready")


class Claim(NamedTuple):
    """What a worker says about a task that it has."""

    worker: str
    place: str
    task: str | None = None
    eta: str | None = None
    #: When it began the task, in seconds since 1970.
    started: float | None = None


@dataclass(frozen=True, kw_only=True)
class Located:
    """Where tasks are, and what may be wrong with it."""

    outcomes: Sequence[Outcome]
    #: By the name of the queue: how many of its messages were not read.
    unread: Mapping[str, int] = field(default_factory=dict)
    #: How many workers have not answered; None if nobody knows, or nobody was asked.
    silent: int | None = None
    #: The names of those, as far as the broker has them.
    absent: Collection[str] = ()
    #: The queues that a worker reads which is started without names.
    declared: Collection[str] = ()
    #: Whether the user of the broker may list its queues.
    is_listed: bool = True
    #: Whether all its keys were looked at for queues.
    is_complete: bool = True
    #: Why the broker does not let the workers be asked; "" if they were.
    refusal: str = ""


def locate(app: Celery, outcomes: Sequence[Outcome], *, deep: bool = False) -> Located:
    """Return the outcomes, those of unfinished tasks with their place. `deep` reads the whole of each long queue.

    For tasks that are nowhere it looks for a result once more. Raises Unreachable.
    """
    found = places(app, outcomes, deep=deep, needs_workers=False)
    return replace(found, outcomes=marked(app, [again(app, each) for each in found.outcomes]))


def places(
    app: Celery,
    outcomes: Sequence[Outcome],
    *,
    deep: bool = False,
    limit: float = LIMIT,
    needs_workers: bool = True,
) -> Located:
    """Do the same without a look at the results; workers have `limit` seconds to answer. A queue of an outcome is read first.

    It reads the queues first, then what workers have taken, then asks the workers: a task that moves on meanwhile is found
    farther on. Raises Unreachable; if the user of the broker may not ask the workers, only with `needs_workers`.
    """
    unfinished = [outcome for outcome in outcomes if not outcome.finished]
    if not unfinished:
        return Located(outcomes=outcomes)
    broker = broker_of(app)
    broker.prepare()
    ids = [outcome.id for outcome in unfinished]
    first = {each.queue for each in unfinished if each.queue}
    found = position.find(broker, ids, deep=deep, first=first) if broker.supports_find else position.Found()
    said, refusal = _asked(app, ids, limit, needs_workers=needs_workers)
    claims, revoked = _held(app, ids, limit, said)
    silent = said.silent if broker.supports_find else None
    nowhere = _nowhere(broker.supports_find and found.is_listed and found.is_complete, silent, refusal)
    placed = [
        each
        if each.finished
        else _placed(each, nowhere, found.traces.get(each.id), claims.get(each.id), revoked.get(each.id))
        for each in outcomes
    ]
    return Located(
        outcomes=placed,
        unread=found.unread,
        silent=silent,
        absent=said.absent,
        is_listed=found.is_listed,
        is_complete=found.is_complete,
        refusal=refusal,
    )


def _held(
    app: Celery, ids: Sequence[str], limit: float, said: answers.Answers
) -> tuple[dict[str, Claim], dict[str, str]]:
    """Return the claims by the ids, and who knows which of them as revoked; ask for the latter only if a task does not run."""
    claims = _claims(said)
    left = [each for each in ids if each not in claims or claims[each].place != "active"]
    if not left or not said.workers:
        return claims, {}
    more = _ask_more(app, left, limit, said.workers)
    return _claims(said, more), _revoked(more)


def _asked(app: Celery, task_ids: Sequence[str], limit: float, *, needs_workers: bool) -> tuple[answers.Answers, str]:
    """Return what the workers answer, and why they could not be asked if that is not needed: kombu's queue of replies is made
    by a script, which not every user of the broker may run."""
    try:
        return _ask(app, task_ids, limit), ""
    except Unreachable as error:
        if needs_workers or not is_forbidden(error):
            raise
        return answers.Answers(said={}, failed={}, listening=None, silent=None), error.sentence


def _ask(app: Celery, task_ids: Sequence[str], limit: float) -> answers.Answers:
    """Ask the workers which of these tasks they have."""
    return answers.ask(app, {"query_task": {"ids": list(task_ids)}}, limit=limit)


def _ask_more(app: Celery, task_ids: Sequence[str], limit: float, workers: Sequence[str]) -> answers.Answers:
    """Ask these workers for all that they hold for later, and all that they know as revoked: that may be thousands of tasks.

    They also say what they hold for later if they are asked for a task by its id, but without the time, from Celery 5.7 on, and
    not of a task that they have run and will run again. They are asked by the id once more: a task may begin meanwhile.
    """
    commands: dict[str, dict[str, Any]] = {"query_task": {"ids": list(task_ids)}, "scheduled": {}, "revoked": {}}
    return answers.ask(app, commands, limit=limit, destination=workers)


def _claims(*rounds: answers.Answers) -> dict[str, Claim]:
    """Return by its id which worker has a task. Of two that have it, the one that runs it counts."""
    found: dict[str, Claim] = {}
    for task_id, claim in (each for said in rounds for each in (*_queried(said), *_scheduled(said))):
        known = found.get(task_id)
        if known is None or _HELD.index(claim.place) < _HELD.index(known.place):
            found[task_id] = claim
        elif known.place == claim.place == "scheduled":
            found[task_id] = known._replace(eta=known.eta or claim.eta)
    return found


def _queried(said: answers.Answers) -> Iterator[tuple[str, Claim]]:
    for worker, tasks in said.of("query_task", dict).items():
        for task_id, entry in tasks.items():
            if isinstance(entry, (list, tuple)) and len(entry) == 2 and entry[0] in _HELD:
                info = entry[1] if isinstance(entry[1], dict) else {}
                yield (
                    task_id,
                    Claim(worker, entry[0], _text(info.get("name")), started=number(info.get("time_start"))),
                )


def _scheduled(said: answers.Answers) -> Iterator[tuple[str, Claim]]:
    for worker, held in said.of("scheduled", list).items():
        for entry in held:
            request = entry.get("request") if isinstance(entry, dict) else None
            if isinstance(request, dict) and isinstance(request.get("id"), str):
                yield request["id"], Claim(worker, "scheduled", _text(request.get("name")), _text(entry.get("eta")))


def _revoked(said: answers.Answers) -> dict[str, str]:
    """Return, by the id of a task that was revoked, a worker that knows it."""
    return {task_id: worker for worker, ids in said.of("revoked", list).items() for task_id in map(str, ids)}


def _placed(
    outcome: Outcome, nowhere: str, trace: Trace | None, claim: Claim | None, revoked_at: str | None
) -> Outcome:
    """Return the outcome with its place, which is `nowhere` if it was not found."""
    trace = trace or Trace(place="")
    if revoked_at is not None and outcome.waits and (claim is None or claim.place != "active"):
        claim = Claim(revoked_at, "revoked", claim and claim.task)
    return replace(
        outcome,
        place=(claim.place if claim else trace.place) or nowhere,
        worker=claim.worker if claim else None if outcome.waits else outcome.worker,
        task=outcome.task or (claim and claim.task) or trace.task,
        eta=_time((claim and claim.eta) or trace.eta),
        queue=trace.queue,
        position=trace.position,
        started=None if claim is None or claim.place != "active" else moment(claim.started),
    )


def _nowhere(can_find: bool, silent: int | None, refusal: str) -> str:
    """Return the place of what was not found."""
    if not can_find:
        return "unknown"
    if refusal:
        return "unasked"
    return "silent" if silent else "none"


def again(app: Celery, outcome: Outcome) -> Outcome:
    """Look again for the result of a task that is nowhere: it may have come meanwhile."""
    if outcome.finished or outcome.place not in NOWHERE:
        return outcome
    latest = backend.look(app, outcome.id)
    if latest.finished:
        return latest
    return replace(outcome, state=latest.state, result=latest.result, error=latest.error)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(text: str | None) -> datetime | None:
    try:
        return parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None
