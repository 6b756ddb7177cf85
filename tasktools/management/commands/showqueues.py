"""manage.py showqueues."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.environment.interrupts import heed_signals
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, queue_names


class Command(TasktoolsCommand):
    help = "Show the queues: what waits in each, what workers have taken, who reads it, and how old it is."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        only = "only these queues; by default, each that is declared, is read by a worker or holds a message"
        completed_by(parser.add_argument("queues", nargs="*", metavar="queue", help=only), queue_names)
        add = parser.add_argument
        add("--interval", metavar="DURATION", help="measure for so long how many messages come in and leave")
        add("--by-task", action="store_true", help="count what waits by the name of the task")
        add("--peek", metavar="N", help="show the next N messages of each queue; they stay where they are")
        add("--max", metavar="N", dest="most", help="exit code 1 if more messages wait in a queue")
        add("--max-age", metavar="DURATION", help="exit code 1 if a message has waited longer, or if that is unknown")
        add("--watch", action="store_true", help="show it again and again, every 2 s or --interval, until Ctrl+C")
        add("--deep", action="store_true", help="read all, however much it is")

    def prepare(self, options: dict[str, Any]) -> None:
        if options["watch"] and self.is_own_process:
            heed_signals()  # a terminal is restored then

    def run(self, **options: Any) -> None:
        from tasktools.management.queue_options import asked_of
        from tasktools.management.queue_output import pause_notes, show
        from tasktools.management.queue_reading import Reading
        from tasktools.management.queue_verdict import verdict
        from tasktools.management.queue_watch import watch

        asked = asked_of(options)
        found = self.find_app(options["app"])
        self.load_tasks(found)
        with Reading(self, found, asked) as reading:
            if asked.watch:
                watch(self, reading, asked, no_color=options["no_color"])
                return
            seen = reading.look()
        show(self, seen, asked, no_color=options["no_color"])
        if not self.as_json:
            self.note(*pause_notes(seen, asked, found.app.timezone))
        verdict(self, seen, asked)
