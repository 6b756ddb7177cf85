"""What runworker and runbeat share: they use the project's app and its logging, and end with celery's exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from tasktools import render, startup, unimportable
from tasktools.discovery import celery_app, django_fixup
from tasktools.exceptions import (
    AppError,
    ConfigurationError,
    PrivateServerError,
    ProjectError,
    TasktoolsError,
    Unreachable,
    project_code,
)
from tasktools.health.answer import Limits
from tasktools.management import become_supervisor
from tasktools.management.base import TasktoolsCommand
from tasktools.management.first_lines import (
    doubts,
    doubts_of_backend,
    doubts_of_name,
    doubts_of_record,
    require_servers,
)
from tasktools.project import current_project
from tasktools.registry.registry import finalize
from tasktools.supervisor import reports
from tasktools.supervisor.line import Line

#: How long to wait for the broker's answer before reporting it, in seconds.
BROKER_LIMIT = 2.5


class RunCommand(TasktoolsCommand):
    """Base of the commands that become a Celery process."""

    prints_data = False
    requires_system_checks = "__all__"
    #: How long something may last before the process counts as not alive.
    health_limits = Limits()
    #: The line to the supervisor, if there is one.
    line: Line | None = None
    #: The celery subcommand.
    celery_command = ""

    def add_arguments(self, parser: CommandParser) -> None:
        from tasktools.management.celery_cli import add_options, options_of

        super().add_arguments(parser)
        found = current_project().found
        parser.add_argument(
            "--celery-logging", action="store_true", help="let Celery set up logging although LOGGING is set"
        )
        self.add_own_options(parser)
        add_options(parser, self.celery_command, options_of(self.celery_command, found.app if found else None))

    def add_own_options(self, parser: CommandParser) -> None:
        add = parser.add_argument_group("reload").add_argument
        add("--reload", action="store_true", help="start again when a file changes; with DEBUG that is so without it")
        add("--noreload", action="store_true", help="do not")
        add("--reload-include", action="append", default=[], metavar="GLOB", help="files that count beside *.py, .env")

    def prepare(self, options: dict[str, Any]) -> None:
        options["skip_checks"] = options["skip_checks"] or django_fixup.checks_skipped()
        if self._called_from_command_line:
            self.line = Line.from_environment()
            if self.line is None and reloads(options):
                self.line = become_supervisor.become_supervisor(self.celery_command, options)

    def check(self, *args: Any, **options: Any) -> None:
        """Run Django's checks. Raises ProjectError if tasks cannot be imported, or if a check raises, as for a broken URLconf."""
        broken = [each for each in current_project().problems if isinstance(each, ProjectError)]
        if broken:  # the checks would report the same
            raise broken[0]
        self._load_for_checks()
        found: CommandError | None = None
        with project_code(django_fixup.checks_broken):
            try:
                super().check(*args, **options)
            except CommandError as error:  # it holds what the checks have found
                found = error
        if found is not None:
            raise found

    def _load_for_checks(self) -> None:
        """Let the checks look at the tasks of an app of the project, which no other command needs. `run` reports errors.

        Raises ConfigurationError if there is no broker.
        """
        found = current_project().found
        if found is not None and not startup.load_tasks(found):
            startup.require_broker(found)  # W001 would say the same before it
            with contextlib.suppress(ProjectError):
                finalize(found.app)

    def _end(self, error: TasktoolsError, options: dict[str, Any]) -> NoReturn:
        if self.line is not None and not _may_be_mended(error, options):
            self.line.say("hopeless")
        is_broken = isinstance(error, ProjectError) and not isinstance(error, django_fixup.ChecksBroken)
        if is_broken and not options.get("traceback") and unimportable.reported(error):
            sys.exit(error.exit_code)
        super()._end(error, options)

    def run(self, **options: Any) -> None:
        from tasktools.management.celery_cli import options_of, words_of

        found = self.find_app(options["app"])
        again = self.line is not None and self.line.before
        current_project().told_jobs = bool(again) or not options["skip_checks"]  # the process before this one has
        errors = startup.load_tasks(found)
        if errors:
            raise errors[0]
        startup.require_broker(found)
        if options["skip_checks"]:
            self.warn(*django_fixup.load_rest(found))
        startup.require_timezone(found.app)
        if self.celery_command == "worker":
            require_servers(found.app)
        self.begin(found, options)
        words = words_of(options_of(self.celery_command, found.app), _with_level(options))
        if not again:
            self.introduce(found, options)
        before = _global_words(options, quiet=bool(again))
        words = [*before, self.celery_command, *words, *self.further_words(found, options)]
        code = self.start(found, words, options)
        if self.line is not None and not code:
            self.line.say("done")
        self.end_with(code, f"celery {self.celery_command} has ended with an error.")

    def begin(self, found: celery_app.Found, options: dict[str, Any]) -> None:
        """Decide what is decided for Celery. Raises a UsageError if it could not start."""

    def summary_end(self) -> str:
        """Return what is added to the line that says what is about to start."""
        return ""

    def introduce(self, found: celery_app.Found, options: dict[str, Any]) -> None:
        """Say what is about to start, and report a broker that does not answer. Celery decides what happens then."""
        from tasktools.brokers.reach import check_broker
        from tasktools.worker.banner import summary

        line = summary(found.app, found.name, queues=options.get("queues"), excluded=options.get("exclude_queues"))
        self.note(f"{line}{self.summary_end()}")
        if not reports.is_part():  # rundev has printed those of the whole site
            self.warn(*doubts(found.app, self.celery_command))
        if self.celery_command == "worker":
            self.warn(*doubts_of_backend(found.app), *doubts_of_record())
        try:
            check_broker(found.app, BROKER_LIMIT)
        except PrivateServerError:
            raise
        except Unreachable as error:
            self.note(*render.error_lines(error), style=self.style.ERROR)
            return
        if self.celery_command == "worker":
            self.warn(*doubts_of_name(found.app, options.get("hostname")))

    def further_words(self, found: celery_app.Found, options: dict[str, Any]) -> list[str]:
        """Return additional words for the command line."""
        return []

    def start(self, found: celery_app.Found, words: Sequence[str], options: dict[str, Any]) -> int:
        from tasktools.management.celery_cli import run_celery
        from tasktools.management.security_warning import in_plain_words
        from tasktools.management.site_logging import keep_logging
        from tasktools.worker.banner import show_stock_urls

        show_stock_urls(found.app, self.celery_command)
        django_fixup.skip_checks_once(found.app)
        if not options["celery_logging"]:
            keep_logging(found.app, keep_levels="loglevel" not in options)
        if self.line is not None:
            words = self.obey(self.line, words)
        is_first = self.line is None or not self.line.before
        with in_plain_words(lambda error: self.warn(*[error] * is_first)):
            return run_celery(found.app, words, program="celery", hint=f"manage.py run{self.celery_command} --help")

    def obey(self, line: Line, words: Sequence[str]) -> Sequence[str]:
        """Make the process obey the supervisor; return its command line."""
        raise NotImplementedError


def _with_level(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options, with the level INFO if DEBUG is on and none was typed: Celery's default shows no task that ran."""
    return {"loglevel": "INFO", **options} if settings.DEBUG else options


def _may_be_mended(error: TasktoolsError, options: dict[str, Any]) -> bool:
    """Whether a change of a file may fix what prevents Celery from starting."""
    if isinstance(error, AppError):
        return options.get("app") is None
    if isinstance(error, Unreachable):  # its address may be wrong
        return not isinstance(error, PrivateServerError)
    return isinstance(error, (ProjectError, ConfigurationError))


def reloads(options: dict[str, Any]) -> bool:
    """Whether to start again when a file changes, as runserver does, but not for a process that others manage.

    A worker with a beat inside (-B) does not reload either: there would be two beats while the old worker finishes its tasks.
    """
    if options["noreload"] or options.get("detach"):
        return False
    return bool(options["reload"] or (settings.DEBUG and not options.get("pidfile") and not options.get("beat")))


def _global_words(options: dict[str, Any], *, quiet: bool) -> list[str]:
    return ["--no-color"] * bool(options["no_color"]) + ["--quiet"] * (quiet or options["verbosity"] == 0)
