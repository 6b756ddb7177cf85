"""Run a command line as Python would. If the project cannot be imported, say why in one line, in place of a traceback.

    python .../tasktools/management/launch.py WATCHED SCRIPT [WORDS]
    python .../tasktools/management/launch.py WATCHED -m MODULE [WORDS]

WATCHED is `{}`, or for the web server of rundev `{"roots": [...], "ignore": [...]}`: the folders of supervisor.watcher.Files.
Then the process is what runserver's autoreloader starts, and rundev the autoreloader: it starts the process again when that
ends with CHANGED. If the process cannot even start (runserver itself gives up), it waits for a change of these files.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

#: The variable that Django's autoreloader sets for a process that it starts.
_IN_AUTORELOADER = "RUN_MAIN"


def command(words: Sequence[str], watched: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """Return a form of the command line `words` (Python, its options, and what it runs) that is launched by this file."""
    from tasktools.environment import as_python

    return as_python.command(__file__, [json.dumps(watched or {})], words)


def _hook(watched: Mapping[str, Any]) -> None:
    """Report what keeps the command from starting; all other errors are shown as usual."""
    show, show_in_thread = sys.excepthook, threading.excepthook

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, Exception) or (_is_set_up() and not watched):
            show(kind, error, trace)
            return
        if "--traceback" in sys.argv:
            show(kind, error, trace)
        else:
            from tasktools import unimportable

            unimportable.report(error)
        if watched:
            _wait_for_change(watched)

    def uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
        from tasktools import unimportable

        error, name = arguments.exc_value, getattr(arguments.thread, "name", "")
        starts = name == "django-main-thread"  # in which runserver starts, see django.utils.autoreload.start_django
        is_told = starts and "--traceback" not in sys.argv and not _is_of_a_command(error)
        if is_told and error is not None and unimportable.place_of(error):
            unimportable.report(error)
        else:
            show_in_thread(arguments)
        if starts and watched:  # Django watches only what was imported, and the file that raised: it may be a library's
            _wait_for_change(watched)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread


def _is_of_a_command(error: BaseException | None) -> bool:
    """Whether a command has raised it, such as runserver with all that the system checks have found."""
    base = sys.modules.get("django.core.management.base")
    return base is not None and isinstance(error, base.CommandError)


def _is_set_up() -> bool:
    registry = sys.modules.get("django.apps")
    return registry is not None and registry.apps.ready


def _wait_for_change(watched: Mapping[str, Any]) -> None:
    """End with CHANGED when a file has changed since this process began."""
    from tasktools.supervisor.age import began
    from tasktools.supervisor.site import CHANGED
    from tasktools.supervisor.watcher import Files, bursts
    from tasktools.unimportable import say

    say("the web server did not start: waiting for a change")
    files = Files(**watched)
    if not files.read(began()):
        next(paths for paths in bursts(files, say) if files.changed(paths))
    os._exit(CHANGED)  # a hook cannot choose the exit code otherwise


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from tasktools.environment.as_python import run

    del sys.path[-1]
    watched = json.loads(sys.argv[1])
    if watched:
        os.environ[_IN_AUTORELOADER] = "true"
    run(sys.argv[2:], prepared_by=__file__, first=lambda: _hook(watched))
