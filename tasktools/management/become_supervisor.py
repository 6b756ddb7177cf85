"""How runworker and runbeat become a supervisor and what it watches over."""

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
from tasktools.management.streams import flush
from tasktools.supervisor.age import began
from tasktools.supervisor.line import Line
from tasktools.supervisor.loop import ENDING
from tasktools.worker.loaded_sources import Sources


def become_supervisor(kind: str, options: dict[str, Any], *, pool: str | None = None) -> Line:
    """Split in two: a new process goes on as the worker, this one becomes the supervisor. Return the worker's line.

    Django and Celery are loaded already, so the worker starts as quickly as one without a supervisor; this process puts
    all of that away (exec) and keeps its process id, which shells and process managers know. Where the project has
    started threads by now, which a new process would not have, the supervisor starts the worker from the beginning; so it
    does where the worker's process is to be patched for `pool` ahead of all imports.
    """
    plan = _plan(kind, options)
    flush()  # or both would write what waits
    if pool and options.get("pool") == pool:  # one that the settings name may be another one after the next change
        plan["command"] = monkey.command(pool, plan["command"])
    if pool or threading.active_count() > 1:
        become(plan)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        ours.close()
        os.setsid()
        line = Line(theirs.detach())
        line.since = plan["since"]  # when what it was split off has begun
        return line
    theirs.close()
    ours.set_inheritable(True)
    return become({**plan, "pid": pid, "line": ours.fileno()})


def _plan(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of supervisor.reloader.Plan, but for the first process."""
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
    """Become the supervisor that carries out `plan`: a light process with this one's id, see supervisor/__main__.py."""
    flush()
    script = Path(supervisor.__file__).with_name("__main__.py")
    # These signals wait for the supervisor, and kill nobody on the way.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
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
    """Return the folders in which files come and go that are no code: media, collected static files, the broker's data."""
    places = [getattr(settings, name, None) for name in ("MEDIA_ROOT", "STATIC_ROOT")]
    return [conf.data_dir(), *(Path(place) for place in places if place)]


def sources(since: float) -> Sources:
    """Return the project's modules that this process has loaded; `since`, as time.time(), is when it began to."""
    return Sources(roots(), ignored(), since=since)
