"""Ctrl-C before a command begins, while Django and the project are imported; and signals that stop a command as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType

_COMMANDS = Path(__file__).parent.parent / "management" / "commands"


def end_quietly(argv: Sequence[str], explain: Callable[[BaseException], bool]) -> None:
    """Make a Ctrl-C, and an error that `explain` has reported, end a process that runs one of our commands without a traceback.

    It works from this call on; earlier imports are the project's. Python still ends by SIGINT, which a shell reports as 130.
    """
    if not is_ours(argv) or "--traceback" in argv:
        return
    show = sys.excepthook

    def show_others(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt) and not explain(error):
            show(kind, error, traceback)

    sys.excepthook = show_others


def is_ours(argv: Sequence[str]) -> bool:
    """Whether a process with these arguments runs one of our commands."""
    word = argv[1] if len(argv) > 1 else ""
    return word.isidentifier() and (_COMMANDS / f"{word}.py").is_file()


#: A closed terminal or a supervisor may send two signals at once. Signals within this many seconds count as one.
_AT_ONCE = 1.0


def heed_signals() -> None:
    """Make SIGTERM and SIGHUP interrupt this process as Ctrl-C does, from now on, so that it can report what it was doing.

    A signal that is ignored (nohup) or that already has a handler stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    last = -_AT_ONCE

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= _AT_ONCE:
            raise KeyboardInterrupt

    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is signal.SIG_DFL:
            signal.signal(signum, interrupt)


def signal_warning() -> str | None:
    """Return a warning if the parent of this process will not pass signals on to it, else None."""
    parent = os.getppid()
    try:
        name = Path(f"/proc/{parent}/comm").read_text().strip()
    except OSError:
        return None
    if parent == 1 and name in ("sh", "bash", "dash", "ash"):
        return f"PID 1 is {name}, which keeps SIGTERM to itself: start this with exec, or with an init such as tini."
    return None
