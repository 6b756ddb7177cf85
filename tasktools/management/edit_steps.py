"""retryfailed --edit: the arguments of one failed task in an editor, until the task takes them."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from tasktools.exceptions import ArgumentError, UsageError
from tasktools.failures.access import reading, rows
from tasktools.failures.editing import Arguments
from tasktools.failures.message import Kept
from tasktools.management.editor import edit
from tasktools.models import State

if TYPE_CHECKING:
    from tasktools.failures.claims import Edited
    from tasktools.management.base import TasktoolsCommand
    from tasktools.management.retry_steps import Retry


def edited(command: TasktoolsCommand, retry: Retry, *, dry_run: bool) -> Edited | None:
    """Return the message as the person has edited it; None if it goes as it came. Raises UsageError."""
    _require_one(command, retry, dry_run=dry_run)
    with reading():
        row = rows().get(pk=retry.chosen[0])
    if row.state != State.FAILED:
        raise UsageError(
            f"#{row.pk} was sent again as {row.new_id}.", hint="only what was not sent again can be edited"
        )
    try:
        kept = Kept.read(row.message, row.body)
    except (ValueError, TypeError) as error:
        raise ArgumentError("Its message cannot be read in the table.") from error
    arguments = Arguments(kept)
    text = arguments.text()
    while True:
        text = edit(text)
        try:
            found = arguments.edited(text, retry.app, row.task)
        except ArgumentError as error:
            command.warn(error)
            if not command.ask("Edit it again?"):
                raise
        else:
            return found


def _require_one(command: TasktoolsCommand, retry: Retry, *, dry_run: bool) -> None:
    if len(retry.chosen) != 1 or retry.claimed:
        raise UsageError("--edit is about one failed task.", hint="give its id")
    if dry_run:
        raise UsageError("--edit changes what is sent, and --dry-run sends nothing.", hint="leave one of them out")
    if command.as_json or not command.is_answered:
        raise UsageError("--edit opens an editor, and nobody is there to use it.", hint="run it in a terminal")


def account() -> str:
    """Return the name of the account that runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an id without a name, as in some containers
        return ""
