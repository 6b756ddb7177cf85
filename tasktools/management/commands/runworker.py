"""manage.py runworker."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools import conf
from tasktools.discovery import celery_app
from tasktools.environment.interrupts import signal_warning
from tasktools.management import become_supervisor, detaching, health, stop_options, task_lines, worker_choices
from tasktools.management.run_base import RunCommand
from tasktools.supervisor.line import Line
from tasktools.worker import introduction, reconnect, supervisor_client
from tasktools.worker.admission import Intake
from tasktools.worker.shutdown import Stop

if TYPE_CHECKING:
    from tasktools.management.beat_setup import BeatSetup


class Command(RunCommand):
    help = "Start a Celery worker for this project. Takes every option of `celery worker`."
    celery_command = "worker"
    setup: BeatSetup | None = None  # that of the beat inside the worker (-B)

    def add_own_options(self, parser: CommandParser) -> None:
        super().add_own_options(parser)
        stop_options.add_ending_options(parser)
        health.add_options(parser, worker=True)

    def prepare(self, options: dict[str, Any]) -> None:
        self.limits = stop_options.limits_from(options)
        self.grace = stop_options.seconds(options["grace"])
        stop_options.seconds(options["reload_grace"])
        health.read(options)
        worker_choices.settle(self, options)
        super().prepare(options)

    def begin(self, found: celery_app.Found, options: dict[str, Any]) -> None:
        if options.get("beat"):
            from tasktools.beat.shutdown import end_embedded_between_ticks
            from tasktools.management.beat_setup import BeatSetup

            end_embedded_between_ticks()
            self.setup = BeatSetup(self, found, options)
            self.setup.require_schedule()

    def summary_end(self) -> str:
        return f" | {self.setup.guarantee()}" if self.setup else ""

    def further_words(self, found: celery_app.Found, options: dict[str, Any]) -> list[str]:
        return self.setup.words() if self.setup else []

    def start(self, found: celery_app.Found, words: Sequence[str], options: dict[str, Any]) -> int:
        if options.get("detach"):
            return detaching.detach(self, found, options)
        self.intake = Intake(self.limits, supervised=self.line is not None)
        if self.line is not None or self.limits:
            self.intake.install(found.app)
        self.stop = Stop(self.note, every_second=sys.stderr.isatty() or bool(options["force_color"]), grace=self.grace)
        self.stop.install(found.app, reconnect.install(found.app))
        introduction.install(found.app, conf.base_dir(), lambda: self.intake.paused)
        if warning := signal_warning():
            self.note(warning, style=self.style.WARNING)
        task_lines.install(self, found.app, options)
        probed = health.begin_worker(self, found, options)
        try:
            return super().start(found, words, options)
        finally:
            self.stop.finish()
            probed.end()

    def obey(self, line: Line, words: Sequence[str]) -> Sequence[str]:
        """Hand over to other workers when the supervisor says so. Mingle and gossip would cost a second each time."""
        supervisor_client.obey(line, self.intake, become_supervisor.sources(line.since), self.stop)
        return [*words, "--without-mingle", "--without-gossip"]
