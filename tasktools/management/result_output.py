"""Outcomes of tasks -> what is printed and how the command ends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.states import PENDING, REVOKED

from tasktools import render
from tasktools.exceptions import (
    ConfigurationError,
    NotFinished,
    NoTrace,
    TaskFailed,
    TasktoolsError,
    Unreachable,
    Unreadable,
)
from tasktools.management.awaiting import Awaiting
from tasktools.management.base import TasktoolsCommand
from tasktools.management.fates import no_trace_hint, place_of, waiting_hint
from tasktools.publishing.single import Sent
from tasktools.results.backend import SET_BACKEND, check_backend, lost_results
from tasktools.results.locate import Located, locate
from tasktools.results.outcome import Failure, Outcome, of_eager
from tasktools.results.wait import wait

if TYPE_CHECKING:
    from celery import Celery


def show(command: TasktoolsCommand, outcome: Outcome, options: dict[str, Any], *, label: bool = False) -> None:
    """Print the result on stdout. Other outcomes (a failure, a state in between) go to stderr; with --json, to stdout."""
    if options["as_json"]:
        command.print_json(_hidden(outcome, command.hide), indent=None)
        return
    if outcome.succeeded:
        if label:
            command.print_line(f"{outcome.id} {render.as_text(outcome.result)}")
        else:
            command.print_value(outcome.result)
        if not render.is_json(outcome.result):
            command.note("The result holds values that JSON cannot carry: they are shown by their repr.")
    elif options["traceback"] and outcome.traceback:
        command.note_block(outcome.traceback)


def show_looks(
    command: TasktoolsCommand,
    app: Celery,
    looks: Iterable[Outcome],
    watch: Awaiting,
    options: dict[str, Any],
    *,
    label: bool,
) -> Located:
    """Show and return the outcomes as they come; then find out where those are that are not finished, and show these."""
    seen = []
    for outcome in looks:
        watch.finished(outcome.id)
        if outcome.finished:
            show(command, outcome, options, label=label)
        seen.append(outcome)
    unfinished = {outcome.id for outcome in seen if not outcome.finished}
    located = find(command, app, seen, options)
    for outcome in located.outcomes:
        if outcome.id in unfinished:
            show(command, outcome, options, label=label)
    return located


def find(command: TasktoolsCommand, app: Celery, outcomes: Sequence[Outcome], options: dict[str, Any]) -> Located:
    """Find out where the unfinished tasks are. If it has waited for them, a broker that does not answer is only mentioned.

    A queue of an outcome is where to look first. If nobody could look there, nobody knows that the task is in it.
    """
    try:
        return locate(app, outcomes, deep=options.get("deep", False))
    except Unreachable as error:
        if not options["wait"]:
            raise
        command.note(error.sentence)
        return Located(outcomes=[replace(each, queue=None) for each in outcomes])


def _hidden(outcome: Outcome, hide: Callable[[str], str]) -> Outcome:
    """Return the outcome without passwords in what a worker has written about a failure. A result is not changed."""
    error = outcome.error and replace(outcome.error, message=hide(outcome.error.message))
    return replace(outcome, error=error, traceback=outcome.traceback and hide(outcome.traceback))


def show_groups(
    command: TasktoolsCommand, groups: Mapping[str, Sequence[str]], outcomes: Sequence[Outcome], *, as_json: bool
) -> None:
    """Print how many tasks of each group are in which state; with --json on stdout, an object a line."""
    states = {outcome.id: outcome.state for outcome in outcomes}
    for group, members in groups.items():
        counts = Counter(states[each] for each in members)
        if as_json:
            command.print_json({"group": group, "tasks": members, "states": counts}, indent=None)
            continue
        listed = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
        command.note(f"{group} is a group of {render.counted(len(members), 'task')}{f': {listed}' if listed else ''}.")


def show_awaited(command: TasktoolsCommand, app: Celery, sent: Sent, timeout: float, options: dict[str, Any]) -> None:
    """Wait for the result of a call that has just been sent, show it, and end as it did."""
    if not options["as_json"]:
        command.note(f"{sent.id} {sent.task}")
    try:
        with Awaiting(command, app, sent.queue, timeout) as watch:
            waited = wait(app, [sent.id], timeout=timeout, on_look=watch)
            outcome = of_eager(sent.result) if sent.eager else next(waited)
    except KeyboardInterrupt:
        command.note(f"The task goes on. Ask again: manage.py taskresult {sent.id} --wait")
        raise
    located = find(command, app, [outcome if outcome.finished else replace(outcome, queue=sent.queue)], options)
    [outcome] = located.outcomes
    show(command, outcome, options)
    # The traceback of a task that ran here is not stored, so no hint can point to it.
    shown = {**options, "traceback": options["traceback"] or sent.eager}
    verdict([outcome], shown, timeout, knows=app.tasks.__contains__, located=located)


def verdict(
    outcomes: Sequence[Outcome],
    options: dict[str, Any],
    timeout: float | None = None,
    *,
    knows: Callable[[str], bool],
    located: Located | None = None,
) -> None:
    """Return if all are done; else raise the error that the command ends with, the most serious first.

    `knows` says whether a worker that starts now knows the task of a name; `located` is how the search for them went.

    Raises TaskFailed, Unreadable, NoTrace, NotFinished.
    """
    make = partial(_error, shown=options["traceback"], timeout=timeout, knows=knows, located=located)
    errors = [error for outcome in outcomes if (error := make(outcome))]
    for kind in (TaskFailed, Unreadable, NoTrace, NotFinished):
        chosen = [error for error in errors if type(error) is kind]
        if chosen:
            others = [error.sentence for error in errors if error is not chosen[0]]
            raise kind(chosen[0].sentence, hint=chosen[0].hint, more=others)


def _error(
    outcome: Outcome, *, shown: bool, timeout: float | None, knows: Callable[[str], bool], located: Located | None
) -> TasktoolsError | None:
    subject = f"{outcome.id}{f' ({outcome.task})' if outcome.task else ''}"
    if outcome.succeeded:
        return None
    if outcome.state == REVOKED:
        return TaskFailed(f"{subject} {_revoked(outcome)}.")
    if outcome.unreadable:
        return Unreadable(
            f"The result of {outcome.id} cannot be read{_exception(outcome)}.", hint=_reading_hint(outcome)
        )
    if outcome.finished:
        return TaskFailed(
            f"{subject} failed{_exception(outcome)}", hint="" if shown else _traceback_hint(outcome, knows)
        )
    sentence = f"{subject} is {_unfinished(outcome, timeout)}."
    if outcome.place == "revoked":
        return TaskFailed(sentence)
    if outcome.place == "none" and outcome.state == PENDING:
        kind = NoTrace if timeout is None else NotFinished
        return kind(sentence, hint=no_trace_hint(outcome, located))
    return NotFinished(sentence, hint=waiting_hint(outcome, timeout, located))


def _unfinished(outcome: Outcome, timeout: float | None) -> str:
    """Return the state of a task that is not finished, what it has reported, and where it is."""
    what = _text(outcome.error) if outcome.error else "" if outcome.result is None else render.as_text(outcome.result)
    meta = f" ({what})" if what else ""
    after = f" after {timeout:g} s" if timeout is not None else ""
    worker = f", on {outcome.worker}" if outcome.worker else ""
    place = f": {place_of(outcome)}" if outcome.place else worker
    return f"{outcome.state}{meta}{after}{place}"


def _revoked(outcome: Outcome) -> str:
    """Return what happened to a task that was revoked: a worker stores why (celery.exceptions.TaskRevokedError)."""
    why = outcome.error.message if outcome.error else ""
    if why == "expired":
        return "expired before a worker began it"
    return "was revoked" if why in ("", "revoked") else f"was revoked: {why}"


def _exception(outcome: Outcome) -> str:
    if outcome.error is None:
        return ", and the result backend keeps no exception of it."
    return f": {_text(outcome.error)}"


def _text(error: Failure) -> str:
    return ": ".join(part for part in (error.type, error.message) if part)


def _reading_hint(outcome: Outcome) -> str:
    if outcome.error is not None and outcome.error.type == "ContentDisallowed":
        return "name the serializer that it was written with in CELERY_RESULT_ACCEPT_CONTENT"
    return "another program has written it, or a worker with another CELERY_RESULT_SERIALIZER"


def _traceback_hint(outcome: Outcome, knows: Callable[[str], bool]) -> str:
    if outcome.error is not None and outcome.error.type == "NotRegistered":
        return _unknown_hint(outcome.error.message.strip("'\""), knows)
    if outcome.error is not None and outcome.error.type == "EncodeError":
        if re.search("type (coroutine|async_generator|generator) ", outcome.error.message):
            return "no worker runs the body of an async function or a generator: manage.py check says how to write it"
        return "return plain values (numbers, text, lists, dictionaries), or set another CELERY_RESULT_SERIALIZER"
    return f"manage.py taskresult {outcome.id} --traceback" if outcome.traceback else ""


def _unknown_hint(name: str, knows: Callable[[str], bool]) -> str:
    """Return what helps a worker that does not know the task of that name."""
    from tasktools.discovery import unimported

    found = None if knows(name) else unimported.find(name)
    if found is not None:
        return found.hint()
    return "the worker that took it does not know this task: restart it (manage.py runworker)"


def require_backend(command: TasktoolsCommand, app: Celery, *, sender: bool) -> None:
    """Raise ConfigurationError if no result can reach this process; `sender` says that it sends the task itself.

    A process that is not the command's own may have sent it, or run a worker.
    """
    from celery.backends.rpc import RPCBackend

    check_backend(app)
    if not command.is_own_process:
        return
    if isinstance(app.backend, RPCBackend) and not sender:
        where, hint = "rpc:// go to the process that sent the task", "wait where it is sent (enqueue --wait), or "
        raise ConfigurationError(f"Results of {where}: no other can read them.", hint=hint + SET_BACKEND)
    lost = lost_results(app.backend)
    if lost:
        raise ConfigurationError(lost, hint=SET_BACKEND)
