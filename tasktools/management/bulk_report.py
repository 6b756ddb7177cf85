"""What enqueue --from prints: its sum, and the errors that end it, with what was sent and how to go on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasktools.exceptions import ArgumentError, InDoubt, OutputError, TasktoolsError, Unreachable
from tasktools.management.base import TasktoolsCommand
from tasktools.management.streams import ReaderGone, StdoutError
from tasktools.render import counted

if TYPE_CHECKING:
    from tasktools.publishing.checkpoint import Progress  # it imports redis, which a single call may not need


def summary_text(counts: dict[str, Any]) -> str:
    """Return the sum in one line."""
    if "good" in counts:
        return f"{counted(counts['good'], 'good line')}, {counts['bad']:,} bad. Nothing was sent."
    before = f", {counts['sent_before']:,} before" if counts["sent_before"] else ""
    bad = f", {counted(counts['bad'], 'bad line')} skipped" if counts["bad"] else ""
    rate = f" in {counts['seconds']:.1f} s, {counts['per_second']:,} a second" if counts["sent"] else ""
    return f"{counts['sent']:,} sent{before}{rate}{bad}."


def path_lines(slow: dict[str, str]) -> list[str]:
    if not slow:
        return ["All messages were made from templates of Celery's own."]
    return [f"{task} took Celery's own path: {why}." for task, why in sorted(slow.items())]


def print_sum(command: TasktoolsCommand, counts: dict[str, Any], slow: dict[str, str], options: dict[str, Any]) -> None:
    """Print the sum of a run; with -v 2 also which path the messages took."""
    if options["as_json"]:
        command.done = summary_text(counts)
        command.print_json(counts)
    else:
        command.note(summary_text(counts))
    if options["verbosity"] > 1 and "good" not in counts:
        command.note(*path_lines(slow))


def warn_declined(command: TasktoolsCommand, declined: Mapping[str, int]) -> None:
    """Report how many calls count as sent but were not sent: the task's own apply_async has returned no id."""
    for task, count in declined.items():
        sentence = f"{task} declined {count:,} of the calls: nothing was sent for these, and nobody knows their ids."
        command.warn(TasktoolsError(sentence))


def doubt_text(error: Unreachable, lines: tuple[int, int] | None, *, as_a_whole: bool, go_on: str) -> Unreachable:
    """Return the error with what the owner of a file needs: which lines are in doubt, and how to go on."""
    if not isinstance(error, InDoubt):
        return Unreachable(error.sentence, hint=f"{error.hint}. {go_on}")
    if lines is None:  # all lines are done, and only the mark of the run must still say so
        sentence = f"{error.sentence} All lines are done with; whether the run is marked as complete cannot be known."
        return InDoubt(sentence, hint=f"{error.hint}. {go_on}")
    first, last = lines
    if error.in_part:
        return InDoubt(f"{error.sentence} It is made of the lines {first} to {last}.", hint=f"{error.hint}. {go_on}")
    if as_a_whole:
        return InDoubt(
            f"{error.sentence} Lines {first} to {last} were sent as a whole or not at all.",
            hint=f"{error.hint}. The same command again sends just what is missing.",
        )
    return InDoubt(
        f"{error.sentence} Lines {first} to {last} are in doubt: whether they were sent cannot be known.",
        hint=f"{error.hint}. {go_on}",
    )


def start_at(line: int, *, piped: bool) -> str:
    """Return how to go on from a line; `piped` says that the lines came through a pipe, and are gone."""
    command = "pipe the same lines into the same command" if piped else "the same command"
    return f"To go on: {command} with --start {line}"


def spared(ended: str) -> contextlib.AbstractContextManager[None]:
    """Ignore a stdout that cannot be written inside the block if something else has already ended the command."""
    return contextlib.suppress(ReaderGone, StdoutError) if ended else contextlib.nullcontext()


def unwritten(error: OutputError, progress: Progress, go_on: str) -> OutputError:
    """Return the error with what the owner of a file needs: what was sent, and how to go on."""
    return OutputError(f"{error.sentence} Nothing after line {progress.line} was sent.", hint=f"{error.hint}. {go_on}")


def stopped_at(line: int, why: str, *, is_end: bool, run: bool, piped: bool) -> ArgumentError:
    """Return the error of a run that stops at a bad line; `is_end` says that nothing after it can be read."""
    hint = f"fix it. {start_at(line, piped=piped)}"
    if run:
        hint = f"{hint} in place of --resume, for a run keeps to the file that it began with"
    if run and not is_end:
        hint = f"{hint}. Or skip it: the same command with --skip-bad FILE"
    return ArgumentError(f"Line {line} is bad: {why} Nothing after line {line - 1} was sent.", hint=hint)
