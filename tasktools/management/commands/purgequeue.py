"""manage.py purgequeue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.environment.interrupts import heed_signals
from tasktools.exceptions import UsageError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, queue_names, task_names


class Command(TasktoolsCommand):
    help = "Remove the messages that wait in queues: all of them, or those of one task. It counts first, and asks."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        completed_by(add("queues", nargs="+", metavar="queue", help="the name of a queue"), queue_names)
        completed_by(add("--task", metavar="NAME", help="only messages of this task; the others stay"), task_names)
        add("--dry-run", action="store_true", help="count, and remove nothing")
        add("--noinput", "--no-input", action="store_false", dest="interactive", help="do not ask")

    def prepare(self, options: dict[str, Any]) -> None:
        if self.is_own_process:
            heed_signals()

    def run(self, *, queues: list[str], dry_run: bool, interactive: bool, **options: Any) -> None:
        from tasktools.management.purge_output import Document, introduce, question, report_unsure, show
        from tasktools.management.purge_steps import Purge

        found = self.find_app(options["app"])
        if options["task"] is not None:
            self.load_tasks(found)
        with Purge(self, found, list(dict.fromkeys(queues)), options["task"]) as purge:
            planned = purge.count()
            introduce(self, planned, task=purge.task, taken=purge.taken)
            asks = interactive and not dry_run and any(each.chosen != 0 for each in planned)
            if asks and not self.confirmed(question(planned, purge.task)):
                self.note("Nothing was removed.")
                self.end_with(1, "Nothing was removed.")
            done = planned if dry_run else purge.act(planned)
        document = Document(dry_run=dry_run, task=purge.task, with_workers=purge.taken, queues=done)
        show(self, document, no_color=options["no_color"])
        if purge.interrupted:
            raise KeyboardInterrupt
        if purge.unsure:
            self.end_with(1, report_unsure(self, purge.unsure))

    def confirmed(self, question: str) -> bool:
        """Ask a person. Raises UsageError if there is none."""
        if self.as_json or not self.is_answered:
            raise UsageError("Nothing was removed: nobody is there to say yes.", hint="--noinput does not ask")
        return self.ask(question)
