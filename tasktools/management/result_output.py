"""Outcomes of tasks -> what is printed and how the command ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasktools import render
from tasktools.arguments.call import Call
from tasktools.arguments.durations import parse_duration
from tasktools.exceptions import (
    ArgumentError,
    ConfigurationError,
    NotFinished,
    NoTrace,
    TaskFailed,
    TasktoolsError,
    Unreadable,
)
from tasktools.management.awaiting import PLACES, Awaiting
from tasktools.management.base import TasktoolsCommand
from tasktools.publishing.single import Sent
from tasktools.registry.routes import queue_of
from tasktools.results.backend import SET_BACKEND, check_backend, lost_results
from tasktools.results.outcome import Outcome, of_eager
from tasktools.results.wait import wait

if TYPE_CHECKING:
    from celery import Celery

#: How long to wait for a result if --timeout is not given.
DEFAULT_WAIT = "1m"


def waiting_time(options: dict[str, Any]) -> float:
    """Return how long --wait waits, in seconds.

    Raises ArgumentError for --timeout without --wait: then nothing waits.
    """
    if options["timeout"] is not None and not options["wait"]:
        raise ArgumentError("--timeout says how long to --wait, and --wait is not given.", hint="give both or none")
    return parse_duration(DEFAULT_WAIT if options["timeout"] is None else options["timeout"]).total_seconds()


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


def _hidden(outcome: Outcome, hide: Callable[[str], str]) -> Outcome:
    """Return the outcome without passwords in what a worker has written about a failure. A result is not changed."""
    error = outcome.error and replace(outcome.error, message=hide(outcome.error.message))
    return replace(outcome, error=error, traceback=outcome.traceback and hide(outcome.traceback))


def show_awaited(
    command: TasktoolsCommand, app: Celery, sent: Sent, timeout: float, options: dict[str, Any], *, call: Call
) -> None:
    """Wait for the result of `call`, which has just been sent, show it, and end as it did."""
    if not options["as_json"]:
        command.note(f"{sent.id} {sent.task}")
    queue = ""
    with contextlib.suppress(TasktoolsError):  # a router of the project may do otherwise the second time
        queue = "" if sent.eager else queue_of(app, call)
    waited = wait(app, [sent.id], timeout=timeout, on_look=Awaiting(command, app, queue, timeout))
    try:
        outcome = of_eager(sent.result) if sent.eager else next(waited)
    except KeyboardInterrupt:
        command.note(f"The task goes on. Ask again: manage.py taskresult {sent.id} --wait")
        raise
    show(command, outcome, options)
    # The traceback of a task that ran here is not stored, so no hint can point to it.
    shown = {**options, "traceback": options["traceback"] or sent.eager}
    verdict([outcome], shown, timeout, knows=app.tasks.__contains__)


def verdict(
    outcomes: Sequence[Outcome],
    options: dict[str, Any],
    timeout: float | None = None,
    *,
    knows: Callable[[str], bool],
) -> None:
    """Return if all are done; else raise the error that the command ends with, the most serious first.

    `knows` says whether a worker that starts now knows the task of a name.

    Raises TaskFailed, Unreadable, NoTrace, NotFinished.
    """
    errors = [error for outcome in outcomes if (error := _error(outcome, options["traceback"], timeout, knows))]
    for kind in (TaskFailed, Unreadable, NoTrace, NotFinished):
        chosen = [error for error in errors if type(error) is kind]
        if chosen:
            others = [error.sentence for error in errors if error is not chosen[0]]
            raise kind(chosen[0].sentence, hint=chosen[0].hint, more=others)


def _error(outcome: Outcome, shown: bool, timeout: float | None, knows: Callable[[str], bool]) -> TasktoolsError | None:
    subject = f"{outcome.id}{f' ({outcome.task})' if outcome.task else ''}"
    if outcome.succeeded:
        return None
    if outcome.state == "REVOKED":
        return TaskFailed(f"{subject} was revoked.")
    if outcome.unreadable:
        return Unreadable(
            f"The result of {outcome.id} cannot be read{_exception(outcome)}.", hint=_reading_hint(outcome)
        )
    if outcome.finished:
        return TaskFailed(
            f"{subject} failed{_exception(outcome)}", hint="" if shown else _traceback_hint(outcome, knows)
        )
    if outcome.place == "none":
        return NoTrace(
            f"{subject} is {outcome.state}: {PLACES['none']}.",
            hint="the id may be mistyped, the result expired or ignored, or the worker that ran the task was killed",
        )
    meta = f" ({render.as_text(outcome.result)})" if outcome.result is not None else ""
    place = f": {PLACES.get(outcome.place, outcome.place)}" if outcome.place else ""
    worker = f", on {outcome.worker}" if outcome.worker else ""
    after = f" after {timeout:g} s" if timeout is not None else ""
    return NotFinished(
        f"{subject} is {outcome.state}{meta}{after}{place}{worker}.", hint=_waiting_hint(outcome, timeout)
    )


def _exception(outcome: Outcome) -> str:
    if outcome.error is None:
        return ", and the result backend keeps no exception of it."
    return f": {': '.join(part for part in (outcome.error.type, outcome.error.message) if part)}"


def _reading_hint(outcome: Outcome) -> str:
    if outcome.error is not None and outcome.error.type == "ContentDisallowed":
        return "name the serializer that it was written with in CELERY_RESULT_ACCEPT_CONTENT"
    return "another program has written it, or a worker with another CELERY_RESULT_SERIALIZER"


def _traceback_hint(outcome: Outcome, knows: Callable[[str], bool]) -> str:
    if outcome.error is not None and outcome.error.type == "NotRegistered":
        return _unknown_hint(outcome.error.message.strip("'\""), knows)
    if outcome.error is not None and outcome.error.type == "EncodeError":
        return "return plain values (numbers, text, lists, dictionaries), or set another CELERY_RESULT_SERIALIZER"
    return f"manage.py taskresult {outcome.id} --traceback" if outcome.traceback else ""


def _unknown_hint(name: str, knows: Callable[[str], bool]) -> str:
    """Return what helps a worker that does not know the task of that name."""
    from tasktools.discovery import unimported

    found = None if knows(name) else unimported.find(name)
    if found is not None:
        return found.hint()
    return "the worker that took it does not know this task: restart it (manage.py runworker)"


def _waiting_hint(outcome: Outcome, timeout: float | None) -> str:
    if timeout is not None:
        return f"is a worker running (manage.py runworker)? Ask again: manage.py taskresult {outcome.id} --wait"
    if outcome.place == "queued":
        return "manage.py runworker starts a worker; --wait waits for the result"
    if outcome.place == "reserved":
        return (
            "--wait waits for the result; what a killed worker had taken comes back after an hour (visibility timeout)"
        )
    return "--wait waits for the result"


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


def require_result(app: Celery, call: Call) -> None:
    """Raise ArgumentError if the call stores no result to wait for."""
    if call.options.get("ignore_result"):
        raise ArgumentError("With --ignore-result there is no result to --wait for.", hint="give one of them")
    if not app.conf.task_always_eager and getattr(
        app.tasks.get(call.task), "ignore_result", app.conf.task_ignore_result
    ):
        raise ArgumentError(f"{call.task} keeps no result (ignore_result) to --wait for.", hint="leave out --wait")
