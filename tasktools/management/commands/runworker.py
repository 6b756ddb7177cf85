"""manage.py runworker."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser
from django.utils.autoreload import get_child_arguments

from tasktools import discovery, supervised
from tasktools.durations import parse_duration
from tasktools.exceptions import ArgumentError, UsageError
from tasktools.intake import Intake, Limits
from tasktools.management import reloading
from tasktools.management.running import RunCommand
from tasktools.naming import shown
from tasktools.stopping import Stop, signal_warning


class Command(RunCommand):
    help = "Start a Celery worker for this project. Takes every option of `celery worker`."
    celery_command = "worker"

    def add_own_options(self, parser: CommandParser) -> None:
        super().add_own_options(parser)
        add = parser.add_argument_group("how it ends").add_argument
        add("--grace", metavar="DURATION", help="end within that time: warmly, then Celery's soft shutdown, then cold")
        add("--drain", action="store_true", help="end when its queues are empty and nothing runs")
        add("--max-tasks", metavar="N", help="end after N tasks")
        add("--max-time", metavar="DURATION", help="end after that time")

    def start(self, found: discovery.Found, words: Sequence[str], options: dict[str, Any]) -> int:
        if options.get("detach"):
            return self._detach(found.app, options)
        limits = _limits(options)
        self.intake = Intake(limits, no_prefetch=self.line is not None)
        if self.line is not None or limits:
            self.intake.install(found.app)
        self.stop = stop = Stop(self.note, every_second=sys.stderr.isatty(), grace=_seconds(options["grace"]))
        stop.install(found.app)
        warning = signal_warning()
        if warning:
            self.note(self.style.WARNING(warning))
        try:
            return super().start(found, words, options)
        finally:
            stop.finish()

    def obey(self, line: supervised.Line, words: Sequence[str]) -> Sequence[str]:
        """Take no part in mingle and gossip, which cost a second, and say when tasks are taken."""
        from celery.signals import worker_ready

        sources = supervised.Sources([root for root in reloading.roots() if root not in reloading.ignored()])

        def resume() -> None:
            sources.renew()
            self.intake.resume()

        def is_stale() -> bool:
            changed = sources.changed()
            if changed and not self.intake.paused:
                line.say("stale", paths=changed)
            return bool(changed)

        self.intake.refuses = is_stale
        worker_ready.connect(lambda **_: line.say("ready"), weak=False)
        line.listen(pause=self.intake.pause, resume=resume, leave=self.stop.be_brief)
        return [*words, "--without-mingle", "--without-gossip"]

    def _detach(self, app: Any, options: dict[str, Any]) -> int:
        """Start the same command line again in the background, without --detach."""
        from celery.bin.worker import detach
        from celery.utils.nodenames import default_nodename, host_format

        if not self._called_from_command_line:
            raise UsageError(
                "--detach starts the command line again, and there is none.", hint="call manage.py runworker"
            )
        python, *argv = [word for word in get_child_arguments() if word not in ("--detach", "-D")]
        hostname = host_format(default_nodename(options.get("hostname")))
        daemon = {
            name: options.get(name) or app.conf.get(f"worker_{name}")
            for name in ("logfile", "pidfile", "uid", "gid", "umask")
        }
        code = detach(
            python, [*argv, "--noreload"], app=app, hostname=hostname, executable=options.get("executable"), **daemon
        )
        return int(code or 0)


def _limits(options: dict[str, Any]) -> Limits:
    tasks = options["max_tasks"]
    if tasks is not None and not (str(tasks).isascii() and str(tasks).isdigit() and int(tasks) > 0):
        raise ArgumentError(f'--max-tasks "{shown(str(tasks))}" is no number of tasks.', hint="give 1 or more")
    return Limits(tasks=int(tasks) if tasks else None, seconds=_seconds(options["max_time"]), drain=options["drain"])


def _seconds(word: str | None) -> float | None:
    return None if word is None else parse_duration(word).total_seconds()
