"""manage.py completion."""

from __future__ import annotations

import contextlib
import sys
from importlib.resources import files
from typing import Any

from django.core.management.base import CommandParser

from tasktools import startup
from tasktools.discovery import django_fixup
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import answer

SHELLS = ("bash", "zsh", "fish")

#: The option that the scripts use. The words after it are the line up to the cursor, not options of this command.
ASK = "--words"


class Command(TasktoolsCommand):
    help = "Print the script with which a shell completes manage.py: commands, options, tasks, queues. Asks no broker."
    prints_data = False
    takes_app = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("shell", choices=SHELLS, help="the shell that the script is for")
        asking = "what the script calls: print what the last word may become, a tab before each"
        parser.add_argument(ASK, nargs="*", metavar="word", help=asking)

    def run_from_argv(self, argv: list[str]) -> None:
        if argv[2:3] != [ASK]:
            super().run_from_argv(argv)
            return
        self._called_from_command_line = True
        with self.guarded(argv):
            self.execute(
                words=argv[3:], force_color=False, no_color=True, skip_checks=True, verbosity=1, traceback=False
            )

    def run(self, *, shell: str | None = None, words: list[str] | None = None, **options: Any) -> None:
        if words is None:
            self.stdout.write(files("tasktools").joinpath(f"completions/manage.{shell}").read_text("utf-8"), ending="")
            return
        # The tab distinguishes an answer from what the project's settings may print.
        for word in answer(words, self._app, self._load_rest):
            self.stdout.write(f"\t{word}")  # it holds only characters that no shell interprets

    def _app(self, name: str | None) -> Any:
        self.found = self.find_app(name)
        startup.load_tasks(self.found)
        return self.found.app

    def _load_rest(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            django_fixup.load_rest(self.found)
