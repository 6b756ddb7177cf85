"""manage.py celery: any celery subcommand with the project's app."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from tasktools.management import become_green
from tasktools.management.base import TasktoolsCommand
from tasktools.management.epilogs import EPILOGS

#: Options that Django (ManagementUtility.execute) and django-configurations have already read, to find the settings.
_DJANGO_OPTIONS = ("--settings", "--pythonpath", "--configuration")


class Command(TasktoolsCommand):
    help = "Run any celery command with this project's app: manage.py celery inspect ping, events, purge, --help, ..."
    prints_data = False
    takes_app = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("words", nargs="*", metavar="...", help="what follows `celery` on its own command line")

    def run_from_argv(self, argv: list[str]) -> None:
        """Pass the words on unchanged: argparse would treat --help, --version and -v as Django's options."""
        self._called_from_command_line = True
        words = without_django_options(argv[2:])
        no_color = "--no-color" in words or "-C" in words
        self.execute(words=words, force_color=False, no_color=no_color, skip_checks=True, verbosity=1, traceback=False)

    def candidates(self, words: list[str], prefix: str) -> list[str]:
        """Complete as click does."""
        from click.shell_completion import ShellComplete

        from tasktools.celery_compat import CELERY_COMMAND

        found = ShellComplete(CELERY_COMMAND.here(), {}, "celery", "").get_completions(words, prefix)
        return [item.value for item in found if item.type == "plain"]

    def run(self, *, words: Sequence[str], **options: Any) -> None:
        from tasktools.management.celery_cli import run_celery

        pool = become_green.pool_of_words(words)
        if pool and become_green.lacks_patches(pool, own_process=self._called_from_command_line):
            become_green.start_again(pool)
        found = None if _names_app(words) else self.find_app(None)
        if found and self._called_from_command_line:
            sys.argv = ["celery", *(["-A", found.name] if found.name else []), *words]  # --detach starts this again
        # click writes to the streams of the process alone, and call_command may have been given others
        out, err = (options.get(name) or getattr(sys, name) for name in ("stdout", "stderr"))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_celery(found.app if found else None, words, program="celery", hint="manage.py celery --help")
        if list(words) in ([], ["--help"]):  # Celery's help has no examples
            for line in ("", *EPILOGS["celery"].splitlines()):
                self.print_line(line)
        self.end_with(code, f"celery {' '.join(words)} has ended with {code}.")


def _names_app(words: Sequence[str]) -> bool:
    return any(word.startswith(("-A", "--app")) for word in words)


def without_django_options(words: Sequence[str]) -> list[str]:
    """Return `words` without --settings and --pythonpath, which Django has read; after -- nothing is an option."""
    rest = list(words)
    kept: list[str] = []
    while rest and rest[0] != "--":
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        if name not in _DJANGO_OPTIONS:
            kept.append(word)
        elif not equals and rest:
            rest.pop(0)
    return kept + rest
