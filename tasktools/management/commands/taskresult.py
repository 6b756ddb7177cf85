"""manage.py taskresult."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.exceptions import ArgumentError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.outcomes import show, verdict


class Command(TasktoolsCommand):
    help = "Show what became of tasks: done, failed, revoked, running, waiting, or no trace."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("ids", nargs="+", metavar="id", help="what enqueue printed, or AsyncResult.id")
        parser.add_argument("--wait", action="store_true", help="wait until all are finished")
        parser.add_argument(
            "--timeout", metavar="DURATION", help="how long --wait waits; without it as long as it takes"
        )
        parser.add_argument(
            "--interval", metavar="DURATION", default="500ms", help="longest pause between two looks (500ms)"
        )

    def run(self, *, ids: list[str], **options: Any) -> None:
        from tasktools import results, startup
        from tasktools.durations import parse_duration

        timeout = parse_duration(options["timeout"]).total_seconds() if options["timeout"] else None
        interval = parse_duration(options["interval"]).total_seconds()
        if not interval:
            raise ArgumentError("--interval is 0.", hint="give a pause such as 100ms")
        found = self.find_app(options["app"])
        ids = [results.check_id(each) for each in dict.fromkeys(ids)]
        results.check_backend(found.app)
        startup.require_broker(found)
        outcomes = results.wait(found.app, ids, timeout=timeout if options["wait"] else 0, interval=interval)
        seen = []
        for outcome in outcomes:
            seen.append(outcome if options["wait"] else results.locate(found.app, outcome))
            show(self, seen[-1], options, label=len(ids) > 1)
        verdict(seen, timeout if options["wait"] else None)
