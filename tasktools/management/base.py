"""The only place that turns an error into an exit code and looks up the app."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser

from tasktools import render, startup
from tasktools.arguments.binding import Verbatim
from tasktools.arguments.names import is_known, shown
from tasktools.celery_compat import CONFIGURED
from tasktools.discovery import celery_app, django_fixup
from tasktools.environment.shadowing import explained
from tasktools.exceptions import TaskFailed, TaskNameError, TasktoolsError, UsageError
from tasktools.management.epilogs import EPILOGS
from tasktools.management.help_format import HelpFormatter
from tasktools.management.printing import PrintingCommand
from tasktools.management.streams import ReaderGone, StdoutError
from tasktools.project import current_project
from tasktools.registry import registry

INTERRUPTED = 130

_COMMANDS = "tasktools.management.commands"


class TasktoolsCommand(PrintingCommand):
    """Base of the commands: subclasses add their arguments and implement `run`."""

    #: Whether the command prints data, and so takes --json.
    prints_data = True
    #: Whether it takes -A.
    takes_app = True
    requires_system_checks: Any = []
    # Set by BaseCommand; its types do not say so.
    _called_from_command_line: bool
    #: The app whose tasks were loaded, and whether some of them cannot be.
    found: celery_app.Found
    is_broken = False
    #: The app that -A has found.
    _found: celery_app.Found | None = None
    #: The function that hides passwords, and the app (configured or not) whose passwords it knows.
    _hider: tuple[Any, Callable[[str], str]] | None = None

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(
            prog_name, subcommand, **kwargs
        )  # a project may replace it with one that takes no more than Django's
        parser.epilog, parser.formatter_class, parser.allow_abbrev = self._epilog(), HelpFormatter, False
        parser.parse_args = _words_apart(parser.parse_intermixed_args)  # type: ignore[method-assign, assignment]
        parser._negative_number_matcher = _NEGATIVE_NUMBER  # argparse's own takes -1e5 for an option
        parser.error = _usage_error(parser.prog)  # type: ignore[assignment, method-assign]
        return parser

    @classmethod
    def _epilog(cls) -> str:
        """Return what --help ends with; a subclass in a project has that of its base."""
        names = (each.__module__.rpartition(".") for each in cls.__mro__)
        return next((EPILOGS[name] for package, _, name in names if package == _COMMANDS and name in EPILOGS), "")

    def add_arguments(self, parser: CommandParser) -> None:
        if self.takes_app:
            parser.add_argument(
                "-A", "--app", help="the Celery app as module:attribute, where it is not found by itself"
            )
        if self.prints_data:
            parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON, errors too")

    def run_from_argv(self, argv: list[str]) -> None:
        self._called_from_command_line = True
        try:
            super().run_from_argv(argv)
        except (UsageError, ImportError, AttributeError) as error:  # from the parser
            options = {"as_json": self.prints_data and "--json" in argv, "traceback": "--traceback" in argv}
            self._end(_known(error), options)

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.as_json = bool(options.get("as_json"))
        try:
            self.prepare(options)
            if options.get("app") is not None:
                self.find_app(options["app"])  # before the system checks, which then check this app
            return super().execute(*args, **options)
        except TaskNameError as error:
            self._end(self._placed(error), options)
        except TasktoolsError as error:
            self._end(error, options)
        except (ImportError, AttributeError) as error:
            self._end(_known(error), options)
        except KeyboardInterrupt:
            if not self._called_from_command_line:
                raise
            sys.exit(INTERRUPTED)
        except ReaderGone:
            sys.exit(0)

    def prepare(self, options: dict[str, Any]) -> None:
        """Do what must happen before the system checks."""

    def handle(self, *args: Any, **options: Any) -> None:
        self._signalling_run(**options)

    def _signalling_run(self, **options: Any) -> None:
        from django_extensions.management.utils import signalcommand

        signalcommand(type(self).run)(self, **options)

    def run(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError

    def find_app(self, name: str | None) -> celery_app.Found:
        """Return the project's app with a broker chosen. In our own process, an app that -A names becomes the default."""
        project = current_project()
        if name is None:
            if project.found is None:
                startup.run()  # again: the error that it keeps is raised below
            if project.found is not None:
                startup.read_settings(project.found)
                return project.found
        found = self._found = celery_app.find(name)
        startup.choose_broker(found)
        startup.read_settings(found)
        if self._called_from_command_line:  # this process is the command's own
            celery_app.make_default(found.app, force=True)
            project.found = found
            project.problems.clear()
        return found

    def load_tasks(self, found: celery_app.Found, name: str | None = None) -> None:
        """Import the tasks; if `name` stands for none of them, import the rest too. Report what cannot be imported."""
        self.found = found
        problems = startup.load_tasks(found)
        self.is_broken = bool(problems)
        self.warn(*problems, *current_project().job_problems)
        if name is not None:
            self.load_rest_for(name)

    def knows(self, name: str) -> bool:
        """Whether a worker of the project that starts now knows the task of this name; if not even it can import, it may."""
        found = self.found if hasattr(self, "found") else self.find_app(None)
        self.load_tasks(found, name)
        return self.is_broken or name in registry.names(found.app, builtin=True)

    def load_rest_for(self, name: str) -> None:
        """If `name` stands for no task so far, import what a worker imports besides the task modules. This can take a while."""
        found = self.found
        if not django_fixup.is_complete(found) and not is_known(name, registry.names(found.app, builtin=True)):
            if not self.as_json:
                missing = f'No tasks module has "{shown(name)}"'
                self.note(f"{missing}: loading the URLconf and the template tags, as a worker does.")
            with contextlib.redirect_stdout(sys.stderr):
                self.warn(*django_fixup.load_rest(found))

    @property
    def is_own_process(self) -> bool:
        """Whether the process has been started for this command."""
        return self._called_from_command_line

    def hide(self, text: str) -> str:
        """Return `text` without the passwords of this project."""
        found = self._found or current_project().found
        app = None if found is None else found.app
        known = (app, app is not None and CONFIGURED.of(app))
        if self._hider is None or self._hider[0] != known:
            self._hider = known, startup.hider(app)
        return self._hider[1](text)

    def end_with(self, code: int, sentence: str) -> None:
        """End with an exit code other than 0; return if it is 0."""
        if not code:
            return
        if self._called_from_command_line:
            sys.exit(code)
        raise CommandError(sentence, returncode=code)

    def lost(self, error: StdoutError, argv: list[str]) -> NoReturn:
        self._end(error, {"as_json": self.prints_data and "--json" in argv})

    def _placed(self, error: TaskNameError) -> TasktoolsError:
        """Return the error, with a hint to the file that defines the task and that nothing imports."""
        from tasktools.discovery import unimported

        if error.typed and self.is_broken:
            is_empty = not registry.names(self.found.app)
            hint = "it may be in the module that cannot be imported, see above" if is_empty else error.hint
            return TaskNameError(error.sentence, hint=hint)
        found = unimported.find(error.typed) if error.typed else None
        return TaskNameError(error.sentence, hint=found.hint()) if found else error

    def _end(self, error: TasktoolsError, options: dict[str, Any]) -> NoReturn:
        if isinstance(error, StdoutError) and self.done:
            error = StdoutError(f"{error.sentence} {self.done}", hint=error.hint)
        text = "\n".join(map(self.shortened, render.error_lines(error)))
        if not self._called_from_command_line:
            raise CommandError(text, returncode=error.exit_code) from error
        if options.get("traceback") and not isinstance(error, TaskFailed):  # whose traceback is the worker's
            self.note_block("".join(traceback.format_exception(error)))
        if options.get("as_json"):
            self.stderr.write(render.error_json(error, self.hide), str)
        else:
            self.stderr.write(text)
        sys.exit(error.exit_code)


def _known(error: Exception) -> TasktoolsError:
    """Return tasktools' error for `error`; raise `error` itself if there is none."""
    if isinstance(error, TasktoolsError):
        return error
    hidden = explained(error)
    if hidden is None:
        raise error
    hidden.__cause__ = error
    return hidden


def _words_apart(parse: Callable[..., argparse.Namespace]) -> Callable[..., argparse.Namespace]:
    """Take words among options, as in `enqueue add --wait 2 2`, and mark those after `--`."""

    def parse_args(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        args = list(sys.argv[1:] if args is None else args)
        end = args.index("--") if "--" in args else len(args)
        found = parse([*args[: end + 1], *map(Verbatim, args[end + 1 :])], namespace)
        for name, value in vars(found).items():
            if isinstance(value, Verbatim):
                setattr(found, name, str(value))  # it is no word of a call
        return found

    return parse_args


_NEGATIVE_NUMBER = re.compile(r"-(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$", re.ASCII)


def _usage_error(program: str) -> Callable[[str], NoReturn]:
    def error(message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", hint=f"{program} --help")

    return error
