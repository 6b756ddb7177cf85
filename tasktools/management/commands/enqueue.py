"""manage.py enqueue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools import render
from tasktools.exceptions import TaskNameError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.calling import add_calling_options, calling_options
from tasktools.management.outcomes import show, verdict


class Command(TasktoolsCommand):
    help = "Send a task to a worker. Words become arguments by the task's signature; key=value is a keyword."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="the task: its full name, or as much of its end as is unique")
        parser.add_argument(
            "words", nargs="*", metavar="word", help="an argument, or key=value; behind -- also words like -x"
        )
        add_calling_options(parser)
        parser.add_argument("--wait", action="store_true", help="wait for the result and print it")
        parser.add_argument(
            "--timeout", metavar="DURATION", default="1m", help="how long --wait waits (1m); exit code 3 then"
        )
        parser.add_argument("--dry-run", action="store_true", help="check the call, print it, send nothing")
        parser.add_argument(
            "--unregistered", action="store_true", help="take the name as it is: another project's worker knows it"
        )

    def run(self, *, name: str, words: list[str], **options: Any) -> None:
        from tasktools import publish, startup
        from tasktools.durations import parse_duration

        found = self.find_app(options["app"])
        timeout = parse_duration(options["timeout"]).total_seconds()
        problems = [] if options["unregistered"] else startup.load_tasks(found)
        call_options = calling_options(found.app, options)
        try:
            call = publish.prepare(
                found.app,
                name,
                words,
                args_json=options["args_json"],
                kwargs_json=options["kwargs_json"],
                unregistered=options["unregistered"],
                options=call_options,
            )
        except TaskNameError:
            if problems:
                raise problems[0] from None
            raise
        if options["dry_run"]:
            self.print_json(call)
            return
        startup.require_broker(found)
        self._send(found, call, timeout, options)

    def _send(self, found: Any, call: Any, timeout: float, options: dict[str, Any]) -> None:
        from tasktools import publish, results

        if options["wait"]:
            results.check_backend(found.app)
        sent = publish.publish(found.app, call, follow=options["wait"])
        if sent.eager:
            self.note("task_always_eager is set: the task ran here, no worker was asked.")
        if not options["wait"]:
            self.stdout.write(render.as_json({"id": sent.id, "task": sent.task}) if options["as_json"] else sent.id)
            return
        self.note(f"{sent.id} {sent.task}")
        outcome = (
            results.of_eager(sent.result) if sent.eager else next(results.wait(found.app, [sent.id], timeout=timeout))
        )
        show(self, outcome, options)
        verdict([outcome], timeout)
