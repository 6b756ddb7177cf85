"""The options of enqueue --from."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.arguments.names import shown
from tasktools.arguments.numbers import whole_number
from tasktools.exceptions import ArgumentError

#: Options that say how the calls of a file are sent; a single call does not use them.
_OF_FILES = ("csv", "delimiter", "check", "skip_bad", "ids", "resume", "rate", "max_queue", "batch_size", "start")

#: Options of a single call.
_OF_ONE = ("args_json", "kwargs_json", "task_id", "wait", "timeout", "dry_run", "unregistered")


def add_bulk_options(parser: CommandParser) -> None:
    add = parser.add_argument_group("many calls").add_argument
    add("--from", dest="from_file", metavar="FILE", help="a call a line: JSON or CSV (.csv), plain or .gz; - is stdin")
    add("--csv", action="store_true", help="the lines are CSV, whatever the file is called")
    add("--delimiter", metavar="CHAR", help="what stands between two cells of CSV, if the header does not show it")
    add("--check", action="store_true", help="read and check all lines, send nothing")
    add("--skip-bad", metavar="FILE", help="write bad lines and what is wrong with them there, and go on")
    add("--ids", metavar="FILE", help="write the ids of the tasks there")
    add("--resume", metavar="RUN", help="name the run; the same command again sends what is missing")
    add("--start", metavar="LINE", help="begin at that line")
    add("--rate", metavar="N", help="send N calls a second at most")
    add("--max-queue", metavar="N", help="wait while the queue is longer than that")
    add("--batch-size", metavar="N", help="calls in one transaction (500)")


def require_consistent(name: str | None, words: list[str], options: dict[str, Any]) -> None:
    """Raise ArgumentError for options that cannot be used with --from, or that need it."""
    if options.get("entry") is not None:
        _require_entry_alone(name, options)
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


def _require_entry_alone(name: str | None, options: dict[str, Any]) -> None:
    """Raise ArgumentError if a task is named beside --entry, or options that an entry has itself."""
    if name is not None:
        sentence = f'--entry names what is sent: "{shown(name)}" is one word too many.'
        raise ArgumentError(sentence, hint="an entry has its own task and arguments")
    own = {"from_file": "--from", "args_json": "--args", "kwargs_json": "--kwargs", "unregistered": "--unregistered"}
    for dest, option in own.items():
        if options[dest] not in (None, False):
            raise ArgumentError(f"{option} does not go with --entry.", hint=f"leave out {option}")


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
