"""How runworker and runbeat become a supervisor and the process that it supervises."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from django.apps import apps
from django.conf import settings
from django.utils.autoreload import get_child_arguments

from tasktools import conf, supervisor
from tasktools.arguments.durations import parse_duration
from tasktools.environment import monkey
from tasktools.environment.installed import is_installed
from tasktools.management import launch
from tasktools.management.streams import flush
from tasktools.supervisor import reports
from tasktools.supervisor.age import began
from tasktools.supervisor.line import Line
from tasktools.supervisor.loop import ENDING
from tasktools.worker.loaded_sources import Sources


def become_supervisor(kind: str, options: dict[str, Any], *, pool: str | None = None) -> Line:
    """Split in two: a new process goes on as the worker, and this one becomes the supervisor. Return the worker's line.

    Django and Celery are loaded already, so the worker starts as quickly as without a supervisor. This process drops
    all of that (exec) and keeps its process id, which shells and process managers know. If the project has already
    started threads, a fork would lose them, so the supervisor starts the worker from the beginning. It does the same
    if the worker's process must be patched for `pool` before all imports.
    """
    plan = _plan(kind, options)
    flush()  # or both would write the buffered output
    if pool and options.get("pool") == pool:  # a pool that the settings name may differ after the next change
        plan["command"] = monkey.command(pool, plan["command"])
    plan["command"] = launch.command(plan["command"])
    if pool or threading.active_count() > 1:
        become(plan)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        ours.close()
        os.setsid()
        line = Line(theirs.detach())
        line.since = plan["since"]  # when the process that it was forked from began
        return line
    theirs.close()
    ours.set_inheritable(True)
    return become({**plan, "pid": pid, "line": ours.fileno()})


def _plan(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of supervisor.reloader.Plan, without the first process."""
    return {
        "kind": kind,
        "command": [str(word) for word in get_child_arguments()],
        "roots": [str(root) for root in roots()],
        "ignore": [str(path) for path in ignored()],
        "include": options["reload_include"],
        "since": began(),
        "grace": parse_duration(options.get("reload_grace", "0s")).total_seconds(),
        "color": sys.stderr.isatty() and not options["no_color"] and "NO_COLOR" not in os.environ,
    }


def become(plan: dict[str, Any]) -> NoReturn:
    """Become the supervisor that executes `plan`: a light process with this one's id, see supervisor/__main__.py."""
    flush()
    script = Path(supervisor.__file__).with_name("__main__.py")
    # These signals stay pending until the supervisor runs: they must not kill the process before.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    reports.pass_on()
    try:
        os.execv(sys.executable, [sys.executable, str(script), json.dumps(plan)])
    finally:  # it has failed
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def roots() -> list[Path]:
    """Return the project's own folders: the working folder, BASE_DIR, and installed apps that are not site-packages."""
    base = conf.base_dir()
    here = [Path.cwd()] if Path.cwd() in (base, *base.parents) or Path.cwd() != Path.home() else []
    own = [*here, base, *(Path(config.path) for config in apps.get_app_configs())]
    return [path for path in dict.fromkeys(own) if path != Path("/") and not is_installed(path)]


def ignored() -> list[Path]:
    """Return the folders whose files change but are not code: media, collected static files, the broker's data."""
    places = [getattr(settings, name, None) for name in ("MEDIA_ROOT", "STATIC_ROOT")]
    return [conf.data_dir(), *(Path(place) for place in places if place)]


def sources(since: float) -> Sources:
    """Return the project's modules that this process has loaded; `since`, as time.time(), is when it began to load them."""
    return Sources(roots(), ignored(), since=since)
