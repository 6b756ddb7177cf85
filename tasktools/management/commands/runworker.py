"""manage.py runworker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.autoreload import get_child_arguments

from tasktools import discovery
from tasktools.exceptions import UsageError
from tasktools.management.running import RunCommand


class Command(RunCommand):
    help = "Start a Celery worker for this project. Takes every option of `celery worker`."
    celery_command = "worker"

    def start(self, found: discovery.Found, words: Sequence[str], options: dict[str, Any]) -> int:
        if options.get("detach"):
            return self._detach(found.app, options)
        return super().start(found, words, options)

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
        code = detach(python, argv, app=app, hostname=hostname, executable=options.get("executable"), **daemon)
        return int(code or 0)
