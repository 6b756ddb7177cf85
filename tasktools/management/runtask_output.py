"""A task that runs in this process: what is printed while it runs, and how the command ends."""

from __future__ import annotations

import contextlib
import pdb
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from celery.exceptions import Retry
from celery.states import FAILURE, IGNORED, REJECTED, RETRY

from tasktools import render
from tasktools.brokers.reach import reason
from tasktools.exceptions import TaskFailed, UsageError
from tasktools.execution.events import Changed, Progress, Raised
from tasktools.execution.tracer import Attempt
from tasktools.management.base import TasktoolsCommand
from tasktools.management.result_output import show
from tasktools.registry.registry import why_idle
from tasktools.results.outcome import Failure, Outcome

if TYPE_CHECKING:
    from celery import Celery


def check_terminal() -> None:
    """Raise UsageError if nobody can type commands for the debugger: it would read them from a pipe."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "--pdb needs a terminal, and standard input is none.",
            hint="leave it out: the traceback is shown all the same",
        )


def out_of_the_data() -> contextlib.AbstractContextManager[Any]:
    """Send what the task and its debugger print to stderr, unless stdout is a terminal, where a person reads everything."""
    return contextlib.nullcontext() if sys.stdout.isatty() else contextlib.redirect_stdout(sys.stderr)


def require_body(app: Celery, name: str) -> None:
    """Raise TaskFailed for a task whose body no worker runs."""
    idle = why_idle(app, app.tasks[name])
    if idle:
        hint = "write a plain function, which calls asgiref.sync.async_to_sync(...), or iterates over the generator"
        raise TaskFailed(f"{name} is {idle}: Celery's own pools do not run its body.", hint=hint)


class Printer:
    """Prints on stderr what happens while the task runs."""

    def __init__(self, command: TasktoolsCommand, options: dict[str, Any]) -> None:
        self.note, self.note_block = command.note, command.note_block
        self.pdb: bool = options["pdb"]
        self.as_json: bool = options["as_json"]
        self.following: bool = options["retry"] or options["retry_now"]
        self.verbosity: int = options["verbosity"]

    def __call__(self, event: Progress | Changed | Raised) -> None:
        if isinstance(event, Progress):
            self.note(f"{event.state} {render.as_json(event.meta)}")
        elif isinstance(event, Changed):
            if self.verbosity > 1:
                self.note(f"The serializer makes of {event.what} {event.before!r}: {event.after!r}")
        elif not (event.retry and self.following):
            self._raised(event)

    def _raised(self, event: Raised) -> None:
        if not self.as_json:  # with --json, the document holds it
            self.note_block(event.text)
        if self.pdb and event.traceback is not None:
            pdb.post_mortem(event.traceback)


def wait_for(command: TasktoolsCommand, task: str, attempt: Attempt, *, now: bool) -> None:
    """Print which retry comes next and why, and wait until it is due."""
    command.note(_asks(task, attempt), "--retry-now: without the wait." if now else "Waiting.")
    if attempt.again and not now:
        time.sleep(attempt.again.seconds)


def end(command: TasktoolsCommand, task: str, attempt: Attempt, options: dict[str, Any]) -> None:
    """Print the result, or raise the error that the command ends with.

    Raises TaskFailed.
    """
    if options["as_json"] or attempt.state not in (FAILURE, IGNORED, REJECTED, RETRY):
        show(command, _outcome(task, attempt), options)
    if attempt.state == IGNORED:
        command.note(f"{task} asks to be ignored: a worker would keep neither state nor result.")
    elif attempt.state == RETRY:
        hint = "--retry waits and tries again, --retry-now does not wait" if attempt.again else ""
        raise TaskFailed(_asks(task, attempt), hint=hint or "return self.retry(...) for Celery to send it again")
    elif attempt.state == REJECTED:
        what = "put it back into its queue" if getattr(attempt.error, "requeue", False) else "drop it"
        why = reason(Exception(getattr(attempt.error, "reason", None) or "no reason given"))
        raise TaskFailed(f"{task} rejects its message ({why}): a worker would {what}.", hint="see `raise Reject` in it")
    elif attempt.unsendable:
        raise TaskFailed(
            f"{task} failed: {attempt.unsendable}.",
            hint="return plain values (numbers, text, lists, dictionaries), or set another CELERY_RESULT_SERIALIZER",
        )
    elif attempt.state == FAILURE:
        hint = "" if options["pdb"] else "--pdb opens the debugger in the frame that raised"
        raise TaskFailed(f"{task} failed: {_described(attempt)}", hint=hint)


def _asks(task: str, attempt: Attempt) -> str:
    again = attempt.again
    if again is None:
        return f"{task} raised Retry by itself: a worker would note that, and nobody would try it again."
    of = f" of {again.most}" if again.most is not None else ""
    why = "" if isinstance(attempt.error, Retry) else f": {_described(attempt)}"
    return f"{task} asks to be tried again in {_seconds(again.seconds)} s (retry {again.number}{of}){why}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def _described(attempt: Attempt) -> str:
    return f"{type(attempt.error).__name__}: {render.text_of(attempt.error)}"


def _outcome(task: str, attempt: Attempt) -> Outcome:
    error = attempt.error
    return Outcome(
        id=attempt.id,
        state=attempt.state,
        result=attempt.result,
        error=None if error is None else Failure(type=type(error).__name__, message=reason(error)),
        traceback=attempt.traceback,
        task=task,
        retries=attempt.retries,
        date_done=datetime.now(timezone.utc),
    )
