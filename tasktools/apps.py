"""The app config. The site starts even if something here fails: the system checks report the error as a warning."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning

from tasktools.environment import collector
from tasktools.environment.interrupts import end_quietly
from tasktools.exceptions import ProjectError, TasktoolsError, project_code
from tasktools.supervisor import reports

if TYPE_CHECKING:
    from typing_extensions import Self


class TasktoolsConfig(AppConfig):
    name = "tasktools"
    verbose_name = "Celery tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        # the first code of tasktools that django.setup() runs
        reports.is_part()
        end_quietly(sys.argv, _explained)
        self._resume_collector = collector.pause(sys.argv)

    def ready(self) -> None:
        try:
            with project_code(_unloadable):
                from tasktools import checks, startup

                checks.register()
        except TasktoolsError as error:
            self._resume_collector()
            _go_without(error)
        else:
            after_start_up(partial(self._run, startup.run))

    def _run(self, start_up: Callable[[], None]) -> None:
        try:
            start_up()
        finally:
            self._resume_collector()


def after_start_up(call: Callable[[], None]) -> None:
    """Call `call` once when django.setup() is done: all apps are ready then, and the database may be asked.

    Django has no signal for that moment; it sets `apps.ready_event`, which its autoreloader waits for.
    """
    registry: Any = apps  # its types allow only Python's own event
    registry.ready_event = _ReadyEvent(registry.ready_event, call)


class _ReadyEvent:
    """Replaces `apps.ready_event` until it is set. It does not change the event: the methods of gevent's cannot be replaced."""

    def __init__(self, event: Any, call: Callable[[], None]) -> None:
        self._event = event
        self._call = call

    def set(self) -> None:
        registry: Any = apps
        if registry.ready_event is self:
            registry.ready_event = self._event
        self._event.set()
        self._call()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._event, name)


def _unloadable(error: BaseException) -> ProjectError:
    from tasktools.environment.shadowing import explained
    from tasktools.render import ended

    sentence = f"tasktools cannot be loaded: {type(error).__name__}: {ended(' '.join(str(error).split()))}"
    return explained(error) or ProjectError(sentence, hint="pip install --upgrade django-tasktools")


def _explained(error: BaseException) -> bool:
    """Report in one sentence an error that ends django.setup(); return whether it is one."""
    if apps.ready or not isinstance(error, Exception):
        return False
    from tasktools import unimportable

    unimportable.report(error, as_json="--json" in sys.argv)
    return True


#: Why tasktools cannot be loaded.
_unloaded: list[TasktoolsError] = []


def _check_loaded(**_: Any) -> list[CheckMessage]:
    return [CheckWarning(error.sentence, hint=error.hint, id="tasktools.W002") for error in _unloaded]


def _go_without(error: TasktoolsError) -> None:
    """Make the checks and every command of tasktools report why Celery is missing; the rest of the site works."""
    from django.core.management import BaseCommand, CommandError, get_commands

    from tasktools import terminal
    from tasktools.render import error_json, error_lines

    text = "\n".join(map(terminal.line, error_lines(error)))

    class Command(BaseCommand, str):
        """Django expects here the name of an app (`manage.py help`) or a loaded command. This class is both."""

        def __new__(cls) -> Self:
            return str.__new__(cls, TasktoolsConfig.name)

        def run_from_argv(self, argv: list[str]) -> NoReturn:
            self.stderr.write(error_json(error, str) if "--json" in argv else text)
            sys.exit(error.exit_code)

        def print_help(self, prog_name: str, subcommand: str) -> NoReturn:
            self.run_from_argv([prog_name, subcommand])

        def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> NoReturn:
            raise CommandError(text, returncode=error.exit_code)

    _unloaded[:] = [error]
    register(_check_loaded, TasktoolsConfig.name)
    commands: dict[str, Any] = get_commands()  # type: ignore[assignment]  # it may hold a loaded command
    commands.update({name: Command() for name, app in commands.items() if app == TasktoolsConfig.name})
