"""manage.py taskresult."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.arguments.durations import parse_duration
from tasktools.arguments.names import check_id
from tasktools.environment.interrupts import heed_signals
from tasktools.exceptions import ArgumentError
from tasktools.management.awaiting import Awaiting
from tasktools.management.base import TasktoolsCommand
from tasktools.management.failed_hint import note_failed, noting_failed
from tasktools.management.result_output import require_backend, show_groups, show_looks, verdict
from tasktools.management.tree_output import show_tree
from tasktools.management.wait_options import add_wait_options, waiting_time
from tasktools.render import counted
from tasktools.results.groups import members_of
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
        parser.add_argument(
            "--deep", action="store_true", help="look for it in all queues, and in the whole of each long one"
        )
        parser.add_argument("--tree", action="store_true", help="show the tasks that called it and that it has called")

    def prepare(self, options: dict[str, Any]) -> None:
        if self.is_own_process:
            heed_signals()

    def run(self, *, ids: list[str], **options: Any) -> None:
        timeout, interval = waiting_time(options), _interval(options["interval"])
        app, ids = self.find_app(options["app"]).app, [check_id(each) for each in dict.fromkeys(ids)]
        with noting_failed(self, ids):
            self._show(app, ids, timeout, interval, options)

    def _show(self, app: Celery, ids: list[str], timeout: float, interval: float, options: dict[str, Any]) -> None:
        require_backend(self, app, sender=False)
        groups, broken = members_of(app, ids)
        lost = {each.id for each in broken}
        typed = [each for each in ids if each not in lost]
        ids = list(dict.fromkeys(task_id for each in typed for task_id in groups.get(each, [each])))
        if options["wait"] and not options["as_json"]:
            self.note(f"Waiting for {counted(len(ids), 'task')}, {timeout:g} s at the most.")
        if options["tree"]:
            verdict(broken, options, knows=self.knows)
            show_tree(self, app, typed, groups, timeout, interval, options)
            return
        with Awaiting(self, app, "", timeout, total=len(ids) + len(broken)) as watch:
            looks = chain(
                broken, wait(app, ids, timeout=timeout if options["wait"] else 0, interval=interval, on_look=watch)
            )
            seen = show_looks(self, app, looks, watch, options, label=bool(groups) or len(ids) > 1)
        show_groups(self, groups, seen.outcomes, as_json=options["as_json"])
        note_failed(self, seen.outcomes)
        waited = timeout if options["wait"] else None
        verdict(seen.outcomes, options, waited, knows=self.knows, located=seen)


def _interval(typed: Any) -> float:
    seconds = parse_duration(typed).total_seconds()
    if not seconds:
        raise ArgumentError("--interval is 0.", hint="give a pause such as 100ms")
    return seconds
