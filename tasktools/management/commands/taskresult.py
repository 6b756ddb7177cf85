"""manage.py taskresult."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.arguments.durations import parse_duration
from tasktools.arguments.names import check_id
from tasktools.environment.interrupts import heed_signals
from tasktools.exceptions import ArgumentError
from tasktools.management.awaiting import Awaiting
from tasktools.management.base import TasktoolsCommand
from tasktools.management.result_output import require_backend, show, show_groups, verdict
from tasktools.management.wait_options import add_wait_options, waiting_time
from tasktools.render import counted
from tasktools.results.groups import members_of
from tasktools.results.locate import locate
from tasktools.results.outcome import Outcome
from tasktools.results.wait import wait

if TYPE_CHECKING:
    from celery import Celery


class Command(TasktoolsCommand):
    help = "Show what became of tasks: done, failed, revoked, running, waiting, or no trace."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser._option_string_actions["--traceback"].help = "show the traceback of a task that failed, too"
        ids = "what enqueue printed, AsyncResult.id, or GroupResult.id"
        parser.add_argument("ids", nargs="+", metavar="id", help=ids)
        add_wait_options(parser, "wait until all are finished")
        parser.add_argument(
            "--interval", metavar="DURATION", default="500ms", help="longest pause between two looks (500ms)"
        )

    def prepare(self, options: dict[str, Any]) -> None:
        if self.is_own_process:
            heed_signals()

    def run(self, *, ids: list[str], **options: Any) -> None:
        timeout = waiting_time(options)
        interval = parse_duration(options["interval"]).total_seconds()
        if not interval:
            raise ArgumentError("--interval is 0.", hint="give a pause such as 100ms")
        app = self.find_app(options["app"]).app
        ids = [check_id(each) for each in dict.fromkeys(ids)]
        require_backend(self, app, sender=False)
        groups = members_of(app, ids)
        ids = list(dict.fromkeys(task_id for each in ids for task_id in groups.get(each, [each])))
        if options["wait"] and not options["as_json"]:
            self.note(f"Waiting for {counted(len(ids), 'task')}, {timeout:g} s at the most.")
        limit, watch = timeout if options["wait"] else 0, Awaiting(self, app, "", timeout)
        looks = wait(app, ids, timeout=limit, interval=interval, on_look=watch)
        seen = self._show(app, looks, options, label=bool(groups) or len(ids) > 1)
        show_groups(self, groups, seen, as_json=options["as_json"])
        verdict(seen, options, timeout if options["wait"] else None, knows=self.knows)

    def _show(self, app: Celery, looks: Iterator[Outcome], options: dict[str, Any], *, label: bool) -> list[Outcome]:
        """Show and return the outcomes. If it has not waited for them, first find out where those are that are not finished."""
        seen = []
        for outcome in looks:
            if outcome.finished or options["wait"]:
                show(self, outcome, options, label=label)
            seen.append(outcome)
        if options["wait"]:
            return seen
        seen = locate(app, seen)
        for outcome in seen:
            if not outcome.finished:
                show(self, outcome, options, label=label)
        return seen
