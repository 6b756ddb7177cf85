"""manage.py showtasks."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from django.core.management.base import CommandParser

from tasktools.arguments.names import unknown
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, task_names
from tasktools.project import current_project

#: What a narrow terminal does without, the first one first.
_SPARE = ("FULL NAME", "DEFINED IN", "QUEUE", "WHAT IT DOES")


class Command(TasktoolsCommand):
    help = "Show the registered tasks. Needs no broker and no worker."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        pattern = "part of a name, or a pattern with * and ?"
        completed_by(parser.add_argument("pattern", nargs="?", default="", help=pattern), task_names)
        parser.add_argument("--all", action="store_true", dest="builtin", help="Celery's own tasks too")

    def run(self, *, pattern: str, builtin: bool, **options: Any) -> None:
        from tasktools import startup
        from tasktools.discovery import django_fixup
        from tasktools.registry import registry, routes

        found = self.find_app(options["app"])
        problems = startup.load_tasks(found)
        with contextlib.redirect_stdout(sys.stderr):  # what the modules print is not data
            problems += django_fixup.load_rest(found)
        tasks = list(registry.tasks(found.app, pattern=pattern, builtin=builtin))
        if options["as_json"]:
            self.print_json(tasks)
        elif tasks:
            rows = [(t.short_name, t.signature, t.queue, t.defined_in, t.doc, t.name) for t in tasks]
            columns = ("ENQUEUE AS", "SIGNATURE", "QUEUE", "DEFINED IN", "WHAT IT DOES", "FULL NAME")
            self.print_table(columns, rows, spare=_SPARE, cut="WHAT IT DOES", no_color=options["no_color"])
        elif not (pattern or problems):
            self.note(f"No task is registered. {_how_to_register()}.")
        faults = routes.faults(found.app, {task.name for task in tasks if not task.queue})
        self.warn(*current_project().job_problems, *faults)
        if problems:
            raise problems[0]
        if pattern and not tasks:
            raise unknown(pattern, registry.names(found.app, builtin=builtin), "matches")


def _how_to_register() -> str:
    from tasktools.discovery import unimported

    unknown = unimported.find()
    return unknown.hint("tasks") if unknown else "Write one with @shared_task in the tasks.py of an installed app"
