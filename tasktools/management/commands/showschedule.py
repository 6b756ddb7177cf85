"""manage.py showschedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.arguments.names import matches, unknown
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, entry_names

if TYPE_CHECKING:
    from tasktools.beat.outlook import EntryInfo


class Command(TasktoolsCommand):
    help = "Show the entries of the beat schedule: when each runs next, when it last ran, and which beat is in charge."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        pattern = "part of the name of an entry or of its task, or a pattern with * and ?"
        completed_by(parser.add_argument("pattern", nargs="?", default="", help=pattern), entry_names)
        parser.add_argument("--next", metavar="N", dest="count", help="how many times of each entry (1)")
        parser.add_argument("--at", metavar="TIME", help="the times from then on: ISO 8601, as --eta of enqueue")
        parser.add_argument(
            "--overdue", action="store_true", help="only what should have run; exit code 1 if there is any"
        )
        parser.add_argument("-S", "--scheduler", help="the class of the scheduler, if beat is started with this option")

    def run(self, *, pattern: str, **options: Any) -> None:
        from tasktools.management.schedule_options import view_of
        from tasktools.management.schedule_output import Document, introduce, show
        from tasktools.management.schedule_reading import Reading

        found = self.find_app(options["app"])
        view = view_of(found.app, options)
        self.load_tasks(found)
        reading = Reading(self, found, options["scheduler"])
        entries = self._chosen(reading.outlook(view), pattern)
        if options["overdue"]:
            entries = [entry for entry in entries if entry.overdue_since is not None]
        introduce(self, reading, view)
        document = Document(
            in_charge=reading.state.in_charge,
            standing_by=reading.state.standing_by,
            is_known=reading.state.is_known,
            scheduler=reading.scheduler,
            entries=entries,
        )
        show(self, document, view, no_color=options["no_color"])
        if options["overdue"] and entries:
            verb = "entry should have run and has" if len(entries) == 1 else "entries should have run and have"
            self.end_with(1, f"{len(entries)} {verb} not.")

    def _chosen(self, entries: list[EntryInfo], pattern: str) -> list[EntryInfo]:
        if not entries:
            self.note("The schedule has no entries. Write one into CELERY_BEAT_SCHEDULE.")
            return entries
        chosen = [each for each in entries if matches(each.name, pattern) or matches(each.task, pattern)]
        if not chosen:
            raise unknown(pattern, [entry.name for entry in entries], "matches", "entry")
        return chosen
