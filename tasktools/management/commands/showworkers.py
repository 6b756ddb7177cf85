"""manage.py showworkers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.management.base import TasktoolsCommand


class Command(TasktoolsCommand):
    help = "Show the workers: what each is, what it does, and which of them do not answer."

    def add_arguments(self, parser: CommandParser) -> None:
        from tasktools.management.worker_options import DEFAULT_LIMIT

        super().add_arguments(parser)
        parser.add_argument("--tasks", action="store_true", help="what each runs, too: arguments and time")
        answers = f"how long workers have to answer ({DEFAULT_LIMIT})"
        parser.add_argument("--timeout", metavar="DURATION", default=DEFAULT_LIMIT, help=answers)

    def run(self, *, tasks: bool, **options: Any) -> None:
        from tasktools.control.workers import look
        from tasktools.management.worker_options import queues_of_tasks, require_remote, seconds_of
        from tasktools.management.worker_output import report, require_any, show

        limit = seconds_of(options["timeout"])
        found = self.find_app(options["app"])
        require_remote(found)
        seen = look(found.app, queues_of_tasks(self, found), limit)
        require_any(seen, limit)
        show(self, seen, tasks=tasks, no_color=options["no_color"])
        report(self, seen)
