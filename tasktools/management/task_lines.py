"""What runworker says in development: that it is ready, and a line when a task begins and when it ends, as runserver does."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import signals, states
from celery.app.log import Logging
from celery.utils.saferepr import saferepr
from django.conf import settings
from django.core.management.color import color_style, no_style

from tasktools.arguments.names import shown
from tasktools.management.logged_once import OnceLogging
from tasktools.render import text_of
from tasktools.supervisor import reports

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.management.run_base import RunCommand

#: How each state is called, and its colour in Django's palette.
_ENDS = {
    states.SUCCESS: ("succeeded", "SUCCESS"),
    states.FAILURE: ("failed", "ERROR"),
    states.RETRY: ("will be tried again", "WARNING"),
    states.IGNORED: ("ended, its result is ignored", "NOTICE"),
    states.REJECTED: ("rejected its message", "WARNING"),
}

#: A signal or the end of the worker has ended the process: Celery gives no state then, and the process does not know why.
_STOPPED = ("was stopped", "WARNING")

#: The worker says twice that it has terminated a task: at the command, and when its process has ended. So many are remembered.
_MOST_TERMINATED = 1_000

#: How much of a result is shown, in characters.
_LONGEST_RESULT = 100

#: The states with which a task returns the exception that is their reason.
_WITH_REASON = (states.FAILURE, states.RETRY, states.REJECTED)


def install(command: RunCommand, app: Celery, options: dict[str, Any]) -> None:
    """Print these lines in place of Celery's, if DEBUG is on, no level is typed, and nobody else has set up logging."""
    typed = ("loglevel" in options, options.get("logfile"), options["celery_logging"], not options["verbosity"])
    if not settings.DEBUG or any(typed) or settings.LOGGING or not settings.LOGGING_CONFIG:
        return
    if type(app.log) is not Logging or signals.setup_logging.receivers:
        return
    # Child processes that are not forked make one of that class.
    vars(app).update(log_cls=DevelopmentLogging, log=DevelopmentLogging(app))
    is_again = bool(command.line and command.line.before)
    TaskLines(command, options, how_to_quit="" if is_again or reports.is_part() else " Quit with CONTROL-C.").connect()


class TaskLines:
    def __init__(self, command: RunCommand, options: dict[str, Any], *, how_to_quit: str) -> None:
        from tasktools.management.site_parts import colored

        self.command = command
        self.how_to_quit = how_to_quit
        self.style: Any = color_style(force_color=True) if colored(command.stderr, options) else no_style()
        #: When each running task of this process began.
        self._began: dict[str, float] = {}
        self._terminated: deque[str] = deque(maxlen=_MOST_TERMINATED)

    def connect(self) -> None:
        """Follow the signals of the worker of this process, and of the processes that it forks."""
        signals.worker_ready.connect(self.ready, weak=False)
        signals.task_received.connect(self.received, weak=False)
        signals.task_prerun.connect(self.began, weak=False)
        signals.task_postrun.connect(self.ended, weak=False)
        signals.task_revoked.connect(self.revoked, weak=False)

    def ready(self, sender: Any = None, **_: Any) -> None:
        self.command.note(f"{getattr(sender, 'hostname', 'The worker')} ready.{self.how_to_quit}")

    def received(self, request: Any = None, **_: Any) -> None:
        if request.eta:
            self._print(request, request.id, f"waits until {request.eta.astimezone():%H:%M:%S}")

    def began(self, task_id: str = "", task: Any = None, **_: Any) -> None:
        self._began[task_id] = time.monotonic()
        self._print(task, task_id, "started")

    def ended(
        self, task_id: str = "", task: Any = None, retval: Any = None, state: str | None = None, **_: Any
    ) -> None:
        seconds = time.monotonic() - self._began.pop(task_id, time.monotonic())
        words, colour = _STOPPED if state is None else _ENDS.get(state, (state.lower(), "NOTICE"))
        end = f" after {seconds:.3f} s"
        if state in _WITH_REASON and isinstance(retval, BaseException):
            kind = "" if state == states.RETRY else f"{type(retval).__name__}: "  # a Retry says itself what it is
            end += f": {kind}{shown(text_of(retval), 200)}"
        elif state == states.SUCCESS and retval is not None:
            end += f": {shown(saferepr(retval, _LONGEST_RESULT), _LONGEST_RESULT)}"
        self._print(task, task_id, words, end, getattr(self.style, colour))

    def revoked(self, sender: Any = None, request: Any = None, terminated: bool = False, **_: Any) -> None:
        """Say why a task was stopped. Celery itself says that it discards a revoked one that has not begun."""
        if terminated and request.id not in self._terminated:
            self._terminated.append(request.id)
            self._print(sender, request.id, "was revoked", ": terminated", self.style.WARNING)

    def _print(self, task: Any, task_id: str, words: str, end: str = "", style: Callable[[str], str] = str) -> None:
        head = f"[{time.strftime('%d/%b/%Y %H:%M:%S')}] {task.name} {task_id[:8]} "

        def coloured(line: str) -> str:
            before, word, after = line.partition(words)
            return f"{before}{style(word)}{after}" if word else line

        self.command.note(f"{head}{words}{end}", style=coloured)


class DevelopmentLogging(OnceLogging):
    """Celery's logging without the lines that TaskLines prints. Handlers of the project get all."""

    def setup_handlers(self, logger: logging.Logger, *args: Any, **kwargs: Any) -> logging.Logger:
        before = list(logger.handlers)
        found: logging.Logger = super().setup_handlers(logger, *args, **kwargs)
        for handler in found.handlers:
            if handler not in before:
                handler.addFilter(_is_not_of_a_task)
        return found


def _is_not_of_a_task(record: logging.LogRecord) -> bool:
    """Whether no line of TaskLines says the same."""
    if record.levelno > logging.INFO:
        return True
    if record.name == "celery.apps.worker":
        return not str(record.msg).endswith(" ready.")
    return record.name not in ("celery.worker.strategy", "celery.app.trace")
