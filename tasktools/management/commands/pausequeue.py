"""manage.py pausequeue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, queue_names, task_names


class Command(TasktoolsCommand):
    help = "Pause queues or tasks: no worker of the site begins one, and what runs goes on. Without a name, show what is paused."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        completed_by(add("queues", nargs="*", metavar="queue", help="the name of a queue"), queue_names)
        only = "pause this task, and not its whole queue; may be repeated (only on Redis and Valkey)"
        completed_by(add("--task", action="append", default=[], metavar="NAME", dest="tasks", help=only), task_names)
        add("--for", metavar="DURATION", dest="duration", help="end the pause by itself after so long, as in 30m")
        add("--reason", metavar="TEXT", default="", help="why, for others to read")

    def run(self, *, queues: list[str], tasks: list[str], **options: Any) -> None:
        from tasktools.control import pause
        from tasktools.management import pause_options, pause_output
        from tasktools.management.worker_options import require_remote
        from tasktools.queues.pauses import utc_now

        until = pause_options.until(options["duration"], options["reason"], is_named=bool(queues or tasks))
        found = self.find_app(options["app"])
        require_remote(found)
        if not (queues or tasks):
            pause_output.show_all(self, pause.read(found.app, utc_now()), no_color=options["no_color"])
            return
        names = pause_options.named(self, found, queues, tasks)
        made = pause_options.pauses(names, until, options["reason"])
        heard = pause.pause(found.app, made)
        pause_output.show_paused(self, made, heard, no_color=options["no_color"])
        self.warn(*pause_options.doubts(found.app, made, heard))
        pause_output.require_confirmed(heard, made)
