"""What purgequeue prints: what it is about to do, the question, and what it has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasktools.arguments.names import shown
from tasktools.queues.purge import Purged
from tasktools.render import counted

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand


@dataclass(frozen=True, kw_only=True)
class Document:
    """What --json prints."""

    dry_run: bool
    task: str | None
    #: How many messages of all queues workers have and the purge does not touch; None if nobody knows.
    with_workers: int | None
    queues: list[Purged]


def introduce(command: TasktoolsCommand, planned: Sequence[Purged], *, task: str | None, taken: int | None) -> None:
    """Say on stderr what the purge does not touch, and what it costs."""
    if taken and not command.as_json:
        have = "is with a worker" if taken == 1 else "are with workers"
        command.note_prose(
            f"{counted(taken, 'message')} of this broker {have} (running, reserved, or held for later): not touched."
        )
    if task is not None and any(each.chosen is None and each.waiting for each in planned):
        command.note_prose(
            "This broker does not say which tasks wait: each message is taken, and what is not to be removed goes back to its"
            " place, marked as redelivered. Until then no worker gets it."
        )


def question(planned: Sequence[Purged], task: str | None) -> str:
    """Return what to ask a person."""
    places = ", ".join(f'"{shown(each.queue)}"' for each in planned)
    of_task = f' of "{shown(task)}"' if task is not None else ""
    chosen = [each.chosen for each in planned]
    if None in chosen:
        number = sum(each.waiting for each in planned)
        return f"Remove those{of_task} among {counted(number, 'message')} in {places}?"
    return f"Remove {counted(sum(each or 0 for each in chosen), 'message')}{of_task} from {places}?"


def show(command: TasktoolsCommand, document: Document, *, no_color: bool) -> None:
    """Print how many messages were removed from each queue, or would be."""
    if command.as_json:
        command.print_json(document)
        return
    verb = "TO REMOVE" if document.dry_run else "REMOVED"
    rows = [(each.queue, verb_count(each, document), _number(each.left)) for each in document.queues]
    command.print_table(("QUEUE", verb, "WAITING" if document.dry_run else "LEFT"), rows, no_color=no_color)


def report_unsure(command: TasktoolsCommand, queues: Sequence[str]) -> str:
    """Say that messages of the task may be left, and return that sentence."""
    places = ", ".join(f'"{shown(queue)}"' for queue in queues)
    sentence = (
        f"Others removed messages from {places} all the time: some of this task may be left. Run the command again."
    )
    command.note(sentence)
    return sentence


def verb_count(each: Purged, document: Document) -> str:
    return _number(each.chosen if document.dry_run else each.removed)


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
