"""Ctrl-C before a command begins, while Django and the project are imported; and signals that stop a command as Ctrl-C does."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

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


#: How long a second signal waits for the block to end, in seconds; what ends a process that cannot end it.
_GRACE = 1.0
_leave = os._exit
_INTERRUPTED = 130

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def postponed(
    note: Callable[[], None], *, is_ours: bool = True, give_up: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Call `note` for a signal that would end this process, so that it ends between two steps of the block.

    A second one, a second later or more, raises KeyboardInterrupt in the block. While a driver written in C waits, Python
    raises nothing: then a thread calls `give_up`, which prints what was done, and ends the process with 130.

    A signal that is ignored stays so. Outside the main thread, and in a process that is not ours, nothing is changed.
    """
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in _ENDING}
    first: float | None = None

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal first
        if first is None:
            first = time.monotonic()
            note()
        elif time.monotonic() - first >= _AT_ONCE:
            _restore(before)
            raise KeyboardInterrupt

    with _watched(give_up):
        try:
            for signum, handler in before.items():
                if handler is not signal.SIG_IGN:
                    signal.signal(signum, interrupt)
            yield
        finally:
            _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


@contextlib.contextmanager
def _watched(give_up: Callable[[], None]) -> Iterator[None]:
    """End the process from a thread if the block goes on after a second signal: Python's handlers wait for code in C."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ended, lock = threading.Event(), threading.Lock()

    def watch() -> None:
        first: float | None = None
        while signums := os.read(reader, 1):
            now = time.monotonic()
            if signums[0] not in _ENDING:
                continue
            first = now if first is None else first
            if now - first >= _AT_ONCE and not ended.wait(_GRACE):
                with lock:
                    if not ended.is_set():
                        try:
                            give_up()
                        finally:
                            _leave(_INTERRUPTED)
        os.close(reader)

    thread = threading.Thread(target=watch, daemon=True, name="signals")
    other = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        thread.start()
        yield
    finally:
        with lock:
            ended.set()
        signal.set_wakeup_fd(other)
        os.close(writer)


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
