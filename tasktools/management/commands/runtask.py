"""manage.py runtask."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.exceptions import TaskNameError
from tasktools.execution import tracer
from tasktools.management.base import TasktoolsCommand
from tasktools.management.call_options import add_argument_options, calling_options
from tasktools.management.runtask_output import Printer, check_terminal, end, out_of_the_data, require_body, wait_for
from tasktools.publishing import single


class Command(TasktoolsCommand):
    help = "Run a task here and now, as a worker would: no broker, no worker, no result backend. Words as for enqueue."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_argument_options(parser)
        add = parser.add_argument_group("how it runs").add_argument
        add("--pdb", action="store_true", help="when it fails, open the debugger in the frame that raised")
        serialize = "have arguments and result go through the serializers: what breaks on the wire breaks here"
        add("--serialize", action="store_true", help=serialize)
        again = parser.add_mutually_exclusive_group().add_argument
        again("--retry", action="store_true", help="when it asks to be tried again, wait as long as it says and do so")
        again("--retry-now", action="store_true", help="the same without the wait")

    def run(self, *, name: str | None, words: list[str], **options: Any) -> None:
        if name is None:
            raise TaskNameError("No task is named.", hint="manage.py runtask NAME; manage.py showtasks lists the names")
        if options["pdb"]:
            check_terminal()
        found = self.find_app(options["app"])
        self.load_tasks(found, name)
        chosen = {key: options[key] for key in ("args_json", "kwargs_json")}
        called = calling_options(found.app, {"task_id": options["task_id"]})
        call = single.prepare(found.app, name, words, send=options["serialize"], options=called, **chosen)
        require_body(found.app, call.task)
        limits = tracer.time_limits(found.app, call.task)
        if limits:
            self.note(f"A limit of {call.task} that is not enforced here: {', '.join(limits)}.")
        printer = Printer(self, options)
        with out_of_the_data():
            for attempt in tracer.attempts(found.app, call, serialize=options["serialize"], report=printer):
                if attempt.again is None or not (options["retry"] or options["retry_now"]):
                    break
                wait_for(self, call.task, attempt, now=options["retry_now"])
        end(self, call.task, attempt, options)
