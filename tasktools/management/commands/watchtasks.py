"""manage.py watchtasks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.arguments.names import matches
from tasktools.environment.interrupts import heed_signals
from tasktools.exceptions import ConfigurationError, UsageError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, task_names
from tasktools.startup import require_broker

if TYPE_CHECKING:
    from tasktools.events.attempts import Attempt
    from tasktools.events.watch import Watch
    from tasktools.management.watch_lines import Lines
    from tasktools.management.watch_top import Top


class Command(TasktoolsCommand):
    help = "Watch tasks as they end: a line for each, or a table by name that is redrawn in place."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--top", action="store_true", help="draw a table by name: rates, failures, times, history")
        pattern = "only tasks with this in their name, or a pattern with * and ?"
        completed_by(parser.add_argument("--task", metavar="NAME", default="", help=pattern), task_names)
        parser.add_argument("--failed", action="store_true", help="only attempts that have not succeeded")
        parser.add_argument(
            "--no-enable", action="store_true", help="do not tell workers that send no events of tasks to send them"
        )

    def prepare(self, options: dict[str, Any]) -> None:
        if self.is_own_process:
            heed_signals()

    def run(self, **options: Any) -> None:
        from tasktools.control.held import names_held
        from tasktools.events.watch import Notice, Watch

        self._require_terminal(options)
        found = self.find_app(options["app"])
        if found.app.conf.task_always_eager:
            sentence = (
                "CELERY_TASK_ALWAYS_EAGER is set: tasks run in the process that calls them, and no worker sends events."
            )
            raise ConfigurationError(sentence, hint="unset it outside tests")
        require_broker(found)
        watch = Watch(found.app, enables=not options["no_enable"], held=lambda: names_held(found.app))
        is_shown = filter_of(options)
        # The terminal is restored first: it may take a moment to leave the workers as they were.
        with contextlib.closing(watch), self._view(watch, options) as view:
            for step in watch:
                if isinstance(step, Notice):
                    view.say(step)
                elif not view.show([each for each in step if is_shown(each)]):
                    return

    def _require_terminal(self, options: dict[str, Any]) -> None:
        if options["top"] and self.as_json:
            raise UsageError("--top draws a table, and --json prints none.", hint="give one of them")
        if options["top"] and not self.stdout.isatty():
            raise UsageError("--top draws on a terminal, and stdout is none.", hint="leave it out, or give --json")

    def _view(self, watch: Watch, options: dict[str, Any]) -> Lines | Top:
        if options["top"]:
            from tasktools.management.watch_top import Top

            return Top(self, watch.app, watch, no_color=options["no_color"])
        from tasktools.management.watch_lines import Lines

        return Lines(self, watch.app.timezone)


def filter_of(options: dict[str, Any]) -> Callable[[Attempt], bool]:
    """Return what says whether an attempt is shown."""
    pattern, only_failed = options["task"], options["failed"]
    return lambda attempt: matches(attempt.task or "", pattern) and not (only_failed and attempt.state == "SUCCESS")
