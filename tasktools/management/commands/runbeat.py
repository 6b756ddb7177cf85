"""manage.py runbeat."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasktools import conf
from tasktools.arguments.names import shown_path
from tasktools.brokers import private
from tasktools.checks.schedule import unsilenced
from tasktools.discovery import celery_app
from tasktools.exceptions import ConfigurationError, PrivateServerError, UsageError
from tasktools.management.first_lines import require_tables
from tasktools.management.run_base import RunCommand
from tasktools.supervisor.line import Line


class Command(RunCommand):
    help = "Start Celery beat for this project, once. Takes every option of `celery beat`."
    celery_command = "beat"

    def start(self, found: celery_app.Found, words: Sequence[str], options: dict[str, Any]) -> int:
        from tasktools.beat.shutdown import end_between_ticks

        end_between_ticks(found.app)
        return super().start(found, words, options)

    def obey(self, line: Line, words: Sequence[str]) -> Sequence[str]:
        """Begin when the supervisor says so: then the previous beat has ended."""
        from celery.signals import beat_init

        beat_init.connect(lambda **_: line.say("runs"), weak=False)
        line.listen()
        line.say("ready")
        line.wait_for_go()
        return words

    def further_words(self, found: celery_app.Found, options: dict[str, Any]) -> list[str]:
        """Make beat keep its schedule where it can write, if no place was named and the usual one is read-only."""
        from tasktools.beat.schedule import keeps_file
        from tasktools.beat.state_file import place_beside, runtime_place, schedule_file, why_no_schedule

        scheduler = self._scheduler(found, options)
        if not keeps_file(scheduler):
            return []
        configured = options.get("schedule") or found.app.conf.beat_schedule_filename
        typed = bool(options.get("schedule"))
        no_schedule = why_no_schedule(configured, typed=typed)
        if no_schedule:
            kind = UsageError if typed else ConfigurationError
            raise kind(f'"{shown_path(configured)}" {no_schedule}', hint="name another file with --schedule")
        if typed:
            return []
        beside = place_beside(configured, conf.data_dir()) if private.is_private(found.app.conf) else None
        if beside is not None and why_no_schedule(str(beside)) is None:
            return ["--schedule", str(beside)]
        try:
            path = schedule_file(
                configured, [conf.data_dir(), runtime_place(conf.data_dir(), Path(tempfile.gettempdir()))]
            )
        except (OSError, PrivateServerError) as error:
            why = f"{error.strerror}." if isinstance(error, OSError) else error.sentence
            raise ConfigurationError(
                f'Beat cannot write its schedule "{configured}", nor is there another place for it. {why}',
                hint="name a writable file with --schedule",
            ) from error
        if path is None:
            return []
        self.note(f'"{Path(configured).absolute()}" cannot be written: beat keeps its schedule in "{path}".')
        return ["--schedule", str(path)]

    def _scheduler(self, found: celery_app.Found, options: dict[str, Any]) -> str:
        """Return the name of the scheduler. Raises ConfigurationError if beat could not work with it or with the schedule."""
        from tasktools.beat.schedule import class_of, require_scheduler

        scheduler = options.get("scheduler") or found.app.conf.beat_scheduler
        require_scheduler(scheduler, typed=bool(options.get("scheduler")))
        if self.line is None or not self.line.before:
            require_tables("The scheduler", class_of(scheduler))
        refused = unsilenced(found.app, scheduler)
        if refused:
            more = "".join(f" {message.msg}" for message in refused[1:])
            hint = f'{refused[0].hint} (to have it all the same: SILENCED_SYSTEM_CHECKS = ["{refused[0].id}"])'
            raise ConfigurationError(f"{refused[0].msg}{more}", hint=hint)
        return str(scheduler)
