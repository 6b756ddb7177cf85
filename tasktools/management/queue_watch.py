"""showqueues --watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools.management import watching
from tasktools.management.queue_options import Asked
from tasktools.management.queue_output import document, pause_notes, show, tables
from tasktools.management.queue_reading import Reading
from tasktools.queues.look import Look

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand


def watch(command: TasktoolsCommand, reading: Reading, asked: Asked, *, no_color: bool) -> None:
    """Show the queues until Ctrl+C. Raises Unreachable only if the broker does not answer the first time."""
    said: list[str] = []

    def notes(seen: Look) -> list[str]:
        """Return what belongs to the page; where none is drawn, it is said once."""
        found = [f"{each.sentence} {each.hint}" for each in reading.notes(seen)]
        found += pause_notes(seen, asked, reading.app.timezone)
        new = [each for each in found if each not in said]
        if not command.stdout.isatty():
            said.extend(new)
        return new

    watched = watching.Watched(
        look=reading.look,
        connect=reading.connect,
        show=lambda seen: show(command, seen, asked, no_color=no_color),
        document=document,
        tables=lambda seen: tables(seen, asked),
        notes=notes,
        interval=asked.interval,
    )
    watching.watch(command, watched, no_color=no_color)
