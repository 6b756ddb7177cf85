"""runworker --detach: the same command line again, in the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils.autoreload import get_child_arguments

from tasktools.celery_compat import DETACH
from tasktools.control.names import node_name
from tasktools.exceptions import UsageError

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand


def detach(command: TasktoolsCommand, found: Found, options: Mapping[str, Any]) -> int:
    """Start the command line again in the background, without --detach; return an exit code.

    Raises UsageError if there is none, as in a call_command.
    """
    if not command._called_from_command_line:
        raise UsageError("--detach starts the command line again, and there is none.", hint="call manage.py runworker")
    python, *argv = [word for word in get_child_arguments() if word not in ("--detach", "-D")]
    argv.append("--noreload")
    hostname = node_name(options.get("hostname"))
    daemon = {
        name: options.get(name) or found.app.conf.get(f"worker_{name}")
        for name in ("logfile", "pidfile", "uid", "gid", "umask")
    }
    code = DETACH.here()(python, argv, app=found.app, hostname=hostname, executable=options.get("executable"), **daemon)
    return int(code or 0)
