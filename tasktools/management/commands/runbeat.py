"""manage.py runbeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from tasktools.discovery import celery_app
from tasktools.management import health
from tasktools.management.beat_setup import BeatSetup
from tasktools.management.run_base import RunCommand
from tasktools.project import current_project
from tasktools.supervisor.line import Line


class Command(RunCommand):
    help = "Start Celery beat: of several, one sends and the others stand by. Takes every option of `celery beat`."
    celery_command = "beat"

    def add_own_options(self, parser: CommandParser) -> None:
        super().add_own_options(parser)
        parser.add_argument(
            "--no-standby",
            action="store_true",
            help="exit with 75 if another beat is in charge, instead of standing by",
        )
        health.add_options(parser, worker=False)

    def prepare(self, options: dict[str, Any]) -> None:
        health.read(options)
        super().prepare(options)

    def begin(self, found: celery_app.Found, options: dict[str, Any]) -> None:
        self.setup = BeatSetup(self, found, options)
        self.setup.require_schedule()

    def summary_end(self) -> str:
        return f" | {self.setup.guarantee()}"

    def further_words(self, found: celery_app.Found, options: dict[str, Any]) -> list[str]:
        return self.setup.words()

    def start(self, found: celery_app.Found, words: Sequence[str], options: dict[str, Any]) -> int:
        from tasktools.beat.shutdown import end_between_ticks

        end_between_ticks(found.app)
        probed = health.begin_beat(self, options)
        try:
            code = super().start(found, words, options)
        finally:
            probed.end()
        end = current_project().beat_end
        if end is not None:
            raise end
        return code

    def obey(self, line: Line, words: Sequence[str]) -> Sequence[str]:
        """Begin when the supervisor says so: then the previous beat has ended."""
        from celery.signals import beat_init

        beat_init.connect(lambda **_: line.say("runs"), weak=False)
        line.listen()
        line.say("ready")
        line.wait_for_go()
        return words
