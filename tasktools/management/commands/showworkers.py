"""manage.py showworkers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.environment.interrupts import heed_signals
from tasktools.management.base import TasktoolsCommand


class Command(TasktoolsCommand):
    help = "Show the workers: what each is, what it does, and which of them do not answer."

    def add_arguments(self, parser: CommandParser) -> None:
        from tasktools.management.worker_options import DEFAULT_LIMIT

        super().add_arguments(parser)
        parser.add_argument("--tasks", action="store_true", help="what each runs, too: arguments and time")
        again = "show them again and again, every 2 s, until Ctrl+C"
        parser.add_argument("--watch", action="store_true", help=again)
        answers = f"how long workers have to answer ({DEFAULT_LIMIT})"
        parser.add_argument("--timeout", metavar="DURATION", default=DEFAULT_LIMIT, help=answers)

    def prepare(self, options: dict[str, Any]) -> None:
        if options["watch"] and self.is_own_process:
            heed_signals()  # a terminal is restored then

    def run(self, *, tasks: bool, **options: Any) -> None:
        from tasktools.control.pause import marked
        from tasktools.control.workers import Look, look
        from tasktools.management.worker_options import queues_of_tasks, require_remote, seconds_of
        from tasktools.management.worker_output import report, require_any, show, watch

        limit = seconds_of(options["timeout"])
        found = self.find_app(options["app"])
        require_remote(found)
        queues = queues_of_tasks(self, found)

        def look_at_all() -> Look:
            seen = marked(found.app, look(found.app, queues, limit))
            require_any(seen, limit)
            return seen

        if options["watch"]:
            watch(self, look_at_all, tasks=tasks, no_color=options["no_color"])
            return
        seen = look_at_all()
        show(self, seen, tasks=tasks, no_color=options["no_color"])
        report(self, seen)
