"""manage.py showfailed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.exceptions import UsageError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, task_names

#: How many rows are shown unless --limit is given.
USUAL = 50


class Command(TasktoolsCommand):
    help = "Show the tasks that failed and were not sent again since; or all of one of them."

    def add_arguments(self, parser: CommandParser) -> None:
        from tasktools.management.failed_options import STATES, add_choice

        super().add_arguments(parser)
        add = parser.add_argument
        words = (
            "an id, its beginning or a row: all of that one; else a part of a task's name, or a pattern with * and ?"
        )
        completed_by(add("pattern", nargs="?", default="", metavar="pattern|id", help=words), task_names)
        add_choice(parser)
        add("--until", metavar="TIME", help="only failures before that time, or before the last 2h")
        add("--state", choices=STATES, help="what has become of them; failed and sending unless given")
        add("--group", action="store_true", help="count them by task and exception")
        add("--body", action="store_true", help="of one: the body too, and its arguments as they were sent, unmasked")
        add("--limit", metavar="N", default=USUAL, help=f"show at most N ({USUAL})")

    def run(self, *, pattern: str, **options: Any) -> None:
        from dataclasses import replace

        from tasktools.failures import found
        from tasktools.failures.access import reading
        from tasktools.management import failed_nothing, failed_options, failed_output
        from tasktools.startup import require_timezone

        app = self.find_app(options["app"]).app
        require_timezone(app)
        zone, limit = app.timezone, failed_options.number_of("--limit", options["limit"]) or USUAL
        wanted = replace(failed_options.wanted_of(options, zone), pattern=pattern)
        if pattern and self.show_one(pattern, zone, whole=options["body"]):
            return
        if options["body"]:
            raise UsageError("--body is about one failed task.", hint="give its id")
        rows = found.select(wanted)
        with reading():
            count = rows.count()
            shown = [] if options["group"] else list(found.light(rows)[:limit])
        if options["group"]:
            failed_output.show_groups(self, found.groups(rows, zone), zone, no_color=options["no_color"])
        else:
            failed_output.show_rows(self, shown, count - len(shown), zone, options)
        failed_nothing.say(self, wanted, count, options)

    def show_one(self, typed: str, zone: Any, *, whole: bool) -> bool:
        """Show the failed task with this id or row; return whether there is one, and it is no pattern that is meant."""
        from tasktools.failures import found
        from tasktools.management.failed_one import show_one

        try:
            row = found.find(typed) if typed.startswith("#") else found.look(typed)
        except UsageError:
            if found.has_task(typed):
                return False
            raise
        is_pattern = row is not None and row.task_id != typed and not typed.lstrip("#").isdecimal()
        if row is None or (is_pattern and found.has_task(typed)):
            return False
        show_one(self, row, found.history(row), zone, whole=whole)
        return True
