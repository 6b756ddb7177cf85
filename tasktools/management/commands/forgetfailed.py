"""manage.py forgetfailed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.management.base import TasktoolsCommand


class Command(TasktoolsCommand):
    help = "Remove failed tasks from the table. It counts first, and asks."

    def add_arguments(self, parser: CommandParser) -> None:
        from tasktools.management.failed_options import add_choice

        super().add_arguments(parser)
        add = parser.add_argument
        add("ids", nargs="*", metavar="id", help="the id of a failed task, its beginning, or its row")
        add_choice(parser)
        add("--before", metavar="TIME", help="only failures before that time, or before the last 30d")
        add("--mended", action="store_true", help="only those that have succeeded since")
        add("--all", action="store_true", help="all of the table")
        add("--dry-run", action="store_true", help="count, and remove nothing")
        add("--noinput", "--no-input", action="store_false", dest="interactive", help="do not ask")

    def run(self, *, ids: list[str], dry_run: bool, interactive: bool, **options: Any) -> None:
        from tasktools.management import forget_steps
        from tasktools.management.failed_options import confirmed, require_choice

        require_choice({"ids": ids, **options}, "task", "exception", "since", "before", "mended", "all")
        chosen = forget_steps.choose(self, self.find_app(options["app"]).app, ids, options)
        if (
            interactive
            and not dry_run
            and chosen.ids
            and not confirmed(self, forget_steps.question(chosen), "Nothing was removed")
        ):
            self.note("Nothing was removed.")
            self.end_with(1, "Nothing was removed.")
            return
        removed = forget_steps.Removed() if dry_run else forget_steps.remove(self, chosen)
        forget_steps.show(self, chosen, removed, dry_run=dry_run)
