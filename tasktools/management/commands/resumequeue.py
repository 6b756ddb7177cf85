"""manage.py resumequeue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.exceptions import UsageError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, queue_names, task_names


class Command(TasktoolsCommand):
    help = "Resume queues or tasks that pausequeue has paused: the workers take from them again."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        completed_by(add("queues", nargs="*", metavar="queue", help="the name of a queue"), queue_names)
        again = "resume this task; may be repeated"
        completed_by(add("--task", action="append", default=[], metavar="NAME", dest="tasks", help=again), task_names)
        add("--all", action="store_true", dest="every", help="resume all that is paused")

    def run(self, *, queues: list[str], tasks: list[str], every: bool, **options: Any) -> None:
        from tasktools.control import pause
        from tasktools.management import pause_options, pause_output
        from tasktools.management.worker_options import require_remote
        from tasktools.queues.pauses import utc_now

        if bool(queues or tasks) == every:
            raise UsageError(
                "Which queues?", hint="name them, or give --all; manage.py pausequeue shows what is paused"
            )
        found = self.find_app(options["app"])
        require_remote(found)
        paused = pause.read(found.app, utc_now())
        left = pause.left_aside(found.app, paused) if tasks or every else []
        known = [*paused, *left]
        names = pause_options.to_resume(self, found, queues, tasks, known)
        chosen = [each for each in known if every or each.key in names]
        heard = pause.resume(found.app, chosen) if chosen else None
        pause_output.show_resumed(self, chosen, heard, left, is_all=every)
        pause_output.require_paused(names, known)
        if heard is not None:
            self.warn(*pause_options.unheard(heard))
            pause_output.require_confirmed(heard, ())
