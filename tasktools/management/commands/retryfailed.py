"""manage.py retryfailed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.environment.interrupts import heed_signals
from tasktools.management.base import TasktoolsCommand


class Command(TasktoolsCommand):
    help = "Send the messages of failed tasks again, as they came, each exactly once. It counts first, and asks."

    def add_arguments(self, parser: CommandParser) -> None:
        from tasktools.management.failed_options import add_choice

        super().add_arguments(parser)
        add = parser.add_argument
        add("ids", nargs="*", metavar="id", help="the id of a failed task, its beginning, or its row")
        add_choice(parser)
        add("--all", action="store_true", help="all that failed and were not sent again")
        add("--dry-run", action="store_true", help="show what would be sent, and send nothing")
        add("--rate", metavar="N", help="send at most N a second; 0.5 is one every two seconds")
        add("--edit", action="store_true", help="change the arguments of one in $VISUAL or $EDITOR first")
        doubt = "send those too of which nobody knows whether they were sent: they may run twice"
        add("--again", action="store_true", help=doubt)
        add("--noinput", "--no-input", action="store_false", dest="interactive", help="do not ask")

    def prepare(self, options: dict[str, Any]) -> None:
        if self.is_own_process:
            heed_signals()

    def run(self, *, ids: list[str], dry_run: bool, interactive: bool, **options: Any) -> None:
        from tasktools.management.edit_steps import edited
        from tasktools.management.failed_options import confirmed, rate_of, require_choice
        from tasktools.management.retry_output import question, show
        from tasktools.management.retry_steps import Retry

        require_choice({"ids": ids, **options}, "task", "exception", "since", "all")
        rate = rate_of(options["rate"])
        found = self.find_app(options["app"])
        retry = Retry(self, found, rate=rate, again=options["again"])
        retry.choose(ids, options)
        kept = edited(self, retry, dry_run=dry_run) if options["edit"] else None
        if not dry_run:
            asked = question(retry, is_unchanged=options["edit"] and kept is None) if interactive else None
            if asked and not confirmed(self, asked, "Nothing was sent"):
                self.note("Nothing was sent.")
                self.end_with(1, "Nothing was sent.")
                return
            retry.send(kept)
        show(self, retry, dry_run=dry_run, no_color=options["no_color"])
