"""manage.py taskdoctor."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.management.base import TasktoolsCommand

if TYPE_CHECKING:
    from tasktools.doctor.findings import Section


class Command(TasktoolsCommand):
    help = "Show what the site is and what is wrong with it. Passwords are not shown: paste it into a bug report."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--live",
            action="store_true",
            help="ask the broker, the result backend, the workers and beat too; at most 10 s",
        )

    def run(self, *, live: bool, **options: Any) -> None:
        from tasktools.management.doctor_output import document, show, summary
        from tasktools.management.doctor_reading import Site

        site = Site(self, options["app"])
        sections = site.sections()
        if live and site.found is not None:
            from tasktools.management.doctor_live import live_sections

            sections += live_sections(self, site.found)
        if options["traceback"]:
            self.show_tracebacks(sections)
        found = document(sections, live=live, hide=self.hide)
        show(self, found, no_color=options["no_color"])
        if not self.as_json:
            self.note(summary(found))
        self.end_with(1 if found.errors else 0, summary(found))

    def show_tracebacks(self, sections: list[Section]) -> None:
        """Print where each error comes from; the hints of some lines name --traceback."""
        from tasktools.doctor.findings import cause_of

        for line in (line for section in sections for line in section.lines):
            if (cause := cause_of(line)) is not None:
                self.note_block("".join(traceback.format_exception(cause)))
