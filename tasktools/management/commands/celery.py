"""manage.py celery: any celery subcommand with the project's app."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from tasktools import startup
from tasktools.management.base import TasktoolsCommand

#: What Django has read already when it looked for the settings (ManagementUtility.execute).
_DJANGO_OPTIONS = ("--settings", "--pythonpath")


class Command(TasktoolsCommand):
    help = "Run any celery command with this project's app: manage.py celery inspect ping, events, purge, --help, ..."
    prints_data = False
    takes_app = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("words", nargs="*", metavar="...", help="what follows `celery` on its own command line")

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand the words on as they are: argparse would take --help, --version and -v for Django's."""
        self._called_from_command_line = True
        words = without_django_options(argv[2:])
        no_color = "--no-color" in words or "-C" in words
        self.execute(words=words, force_color=False, no_color=no_color, skip_checks=True, verbosity=1, traceback=False)

    def run(self, *, words: Sequence[str], **options: Any) -> None:
        from tasktools.management.clicking import run_celery

        found = self.find_app(None)
        os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
        if self._called_from_command_line:
            sys.argv = [
                "celery",
                *(["-A", found.name] if found.name else []),
                *words,
            ]  # --detach starts `python -m celery` with these
        startup.choose_broker(found)
        code = run_celery(found.app, words, program="celery")
        if code:
            sys.exit(code)


def without_django_options(words: Sequence[str]) -> list[str]:
    """Return `words` without --settings and --pythonpath ahead of the celery subcommand."""
    rest = list(words)
    kept: list[str] = []
    while rest and rest[0].startswith("-") and rest[0] != "--":
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        if name not in _DJANGO_OPTIONS:
            kept.append(word)
        elif not equals and rest:
            rest.pop(0)
    return kept + rest
