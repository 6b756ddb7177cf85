"""The options of enqueue --from, and what its sum looks like."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.arguments.names import shown
from tasktools.arguments.numbers import whole_number
from tasktools.exceptions import ArgumentError, InDoubt, OutputError, TasktoolsError, Unreachable
from tasktools.management.base import TasktoolsCommand
from tasktools.management.input_lines import Source
from tasktools.management.streams import ReaderGone, StdoutError
from tasktools.publishing.append_file import identity

if TYPE_CHECKING:
    from tasktools.publishing.checkpoint import Progress  # it imports redis, which a single call may do without

#: Options that say how the calls of a file are sent, and mean nothing for a single one.
_OF_FILES = ("csv", "check", "skip_bad", "ids", "resume", "rate", "max_queue", "batch_size", "start")

#: Options of a single call.
_OF_ONE = ("args_json", "kwargs_json", "task_id", "wait", "timeout", "dry_run", "unregistered")


def add_bulk_options(parser: CommandParser) -> None:
    add = parser.add_argument_group("many calls").add_argument
    add("--from", dest="from_file", metavar="FILE", help="a call a line: JSON or CSV (.csv), plain or .gz; - is stdin")
    add("--csv", action="store_true", help="the lines are CSV, whatever the file is called")
    add("--check", action="store_true", help="read and check all lines, send nothing")
    add("--skip-bad", metavar="FILE", help="write bad lines and what is wrong with them there, and go on")
    add("--ids", metavar="FILE", help="write the ids of the tasks there")
    add("--resume", metavar="RUN", help="name the run; the same command again sends what is missing")
    add("--start", metavar="LINE", help="begin at that line")
    add("--rate", metavar="N", help="send N calls a second at most")
    add("--max-queue", metavar="N", help="wait while the queue is longer than that")
    add("--batch-size", metavar="N", help="calls in one transaction (500)")


def require_consistent(name: str | None, words: list[str], options: dict[str, Any]) -> None:
    """Raise ArgumentError for options that do not go with --from, or not without it."""
    many = options["from_file"] is not None
    given = [each for each in (_OF_ONE if many else _OF_FILES) if options.get(each) not in (None, False)]
    if given:
        option = {"args_json": "--args", "kwargs_json": "--kwargs"}.get(given[0], f"--{given[0].replace('_', '-')}")
        if many:
            raise ArgumentError(f"{option} is for a single call, --from for many.", hint=f"leave out {option}")
        raise ArgumentError(f"{option} is for the calls of a file.", hint="name the file with --from")
    if many and words:
        raise ArgumentError(f'With --from the arguments come from the file: "{shown(words[0])}" is one word too many.')
    if options["check"] and (options["resume"] or options["skip_bad"] or options["ids"]):
        raise ArgumentError("--check sends nothing: it takes no --resume, --skip-bad or --ids.", hint="leave them out")
    if options["resume"] is not None and options["start"] is not None:
        raise ArgumentError("--resume knows where to begin: it takes no --start.", hint="leave one of them out")


def number(options: dict[str, Any], name: str) -> int | None:
    """Return an option as a whole number from 1 on; None when it was not typed.

    Raises ArgumentError.
    """
    typed = options[name]
    if typed is None:
        return None
    found = whole_number(str(typed))
    if found is not None:
        return found
    raise ArgumentError(f'--{name.replace("_", "-")} "{shown(str(typed))}" is no whole number.', hint="give 1 or more")


def summary_text(told: dict[str, Any]) -> str:
    """Return the sum in one line."""
    if "good" in told:
        return f"{told['lines']:,} lines: {told['good']:,} good, {told['bad']:,} bad. Nothing was sent."
    before = f", {told['sent_before']:,} before" if told["sent_before"] else ""
    bad = f", {told['bad']:,} bad lines skipped" if told["bad"] else ""
    rate = f" in {told['seconds']:.1f} s, {told['per_second']:,} a second" if told["sent"] else ""
    return f"{told['sent']:,} sent{before}{rate}{bad}."


def path_lines(slow: dict[str, str]) -> list[str]:
    if not slow:
        return ["All messages were made from templates of Celery's own."]
    return [f"{task} took Celery's own path: {why}." for task, why in sorted(slow.items())]


def tell_sum(command: TasktoolsCommand, told: dict[str, Any], slow: dict[str, str], options: dict[str, Any]) -> None:
    """Print the sum of a run; with -v 2 also which path the messages took."""
    if options["as_json"]:
        command.done = summary_text(told)
        command.print_json(told)
    else:
        command.note(summary_text(told))
    if options["verbosity"] > 1 and "good" not in told:
        command.note(*path_lines(slow))


def tell_declined(command: TasktoolsCommand, declined: Mapping[str, int]) -> None:
    """Say how many of the calls that count as sent were not: the task's own apply_async has returned no id."""
    for task, count in declined.items():
        told = f"{task} declined {count:,} of the calls: nothing was sent for these, and nobody knows their ids."
        command.warn(TasktoolsError(told))


def told_doubt(error: Unreachable, lines: tuple[int, int] | None, *, as_a_whole: bool, go_on: str) -> Unreachable:
    """Return the error as somebody needs it who has a file: which lines are in doubt, and how to go on."""
    if not isinstance(error, InDoubt):
        return Unreachable(error.sentence, hint=f"{error.hint}. {go_on}")
    if lines is None:  # all lines are done with, and the mark of a run is to say so
        told = f"{error.sentence} All lines are done with; whether the run is marked as complete cannot be known."
        return InDoubt(told, hint=f"{error.hint}. {go_on}")
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


def spared(ended: str) -> contextlib.AbstractContextManager[None]:
    """Have a stdout that cannot be written be no error inside the block when something else has ended the command."""
    return contextlib.suppress(ReaderGone, StdoutError) if ended else contextlib.nullcontext()


def taken_files(source: Source) -> dict[tuple[int, int], str]:
    """Return the files that no output may be, and what each is."""
    taken = {identity(source.status): "the file that --from reads"}
    for handle in (1, 2):
        with contextlib.suppress(OSError):
            taken.setdefault(identity(os.fstat(handle)), "where this command prints")
    return taken


def unwritten(error: OutputError, progress: Progress, go_on: str) -> OutputError:
    """Return the error as somebody needs it who has a file: what was sent, and how to go on."""
    return OutputError(f"{error.sentence} Nothing after line {progress.line} was sent.", hint=f"{error.hint}. {go_on}")


def stopped_at(line: int, why: str, *, is_end: bool, run: bool) -> ArgumentError:
    """Return the error of a run that stops at a bad line; `is_end` says that nothing after it can be read."""
    hint = f"fix it. To go on: the same command with --start {line}"
    if run:
        hint = f"{hint} in place of --resume, for a run keeps to the file that it began with"
    if run and not is_end:
        hint = f"{hint}. Or skip it: the same command with --skip-bad FILE"
    return ArgumentError(f"Line {line} is bad: {why} Nothing after line {line - 1} was sent.", hint=hint)
