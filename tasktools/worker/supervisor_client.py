"""The other end of the supervisor's line: what a supervised worker or beat says, and does when it is told.

    supervisor says   pause   take no more tasks, go on with those that run
                      resume  take tasks again
                      leave   {"grace": seconds}: you have been replaced; SIGTERM follows
                      go      begin (beat)
                      end     SIGTERM has been sent (whose handler fails in Celery 5.5 when nobody reads stdout any more)
    process says      {"say": "ready"}                     it has loaded the code
                      {"say": "runs"}                      it has begun (beat)
                      {"say": "stale", "paths": [...]}     it has paused: these files of its code are not as it loaded them
                      {"say": "done"}                      it ends as it was to; one that ends without it is started again
                      {"say": "hopeless"}                  it ends, and no change of a file would mend why

When the line breaks, the supervisor has gone: the process ends warmly.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasktools.supervisor.child import LINE
from tasktools.worker.admission import Intake
from tasktools.worker.shutdown import Stop

logger = logging.getLogger(__name__)


class Line:
    """This process's end of the line; a thread listens."""

    def __init__(self, descriptor: int, before: int = 0) -> None:
        self._socket = socket.socket(fileno=descriptor)
        #: How many processes the supervisor has started before this one.
        self.before = before
        #: When this process began to load the code, as time.time().
        self.since = began()
        self._socket.set_inheritable(False)
        self._go = threading.Event()
        self._answers: dict[str, Callable[..., None]] = {"go": self._go.set}

    @staticmethod
    def is_there() -> bool:
        """Whether the supervisor has started this process, which has not taken its line yet."""
        return LINE in os.environ

    @classmethod
    def from_environment(cls) -> Line | None:
        """Return the line of a process that the supervisor has started; its own children shall not know of it."""
        line = os.environ.pop(LINE, None)
        return cls(*map(int, line.split())) if line else None

    def listen(self, **answers: Callable[..., None]) -> None:
        """Call `answers[word]` for every word that is said from now on."""
        self._answers.update(answers)
        threading.Thread(target=self._listen, daemon=True, name="supervisor's line").start()

    def say(self, word: str, **more: Any) -> None:
        """Tell the supervisor something; one that has gone hears nothing."""
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps({"say": word, **more}).encode() + b"\n")

    def wait_for_go(self) -> None:
        """Return when the supervisor lets us begin; it ends us where it does not."""
        self._go.wait()

    def _listen(self) -> None:
        try:
            with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
                for line in lines:
                    self._answer(json.loads(line))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            self._answer({"say": "end"})

    def _answer(self, message: dict[str, Any]) -> None:
        answer = self._answers.get(message.pop("say"))
        try:
            if answer:
                answer(**message)
        except Exception:
            logger.exception("tasktools: an answer to the supervisor failed")


#: Stands for the time stamp and size of a file that is not there.
_GONE = (0, 0)


class Sources:
    """The project's own modules that this process has loaded, and the time stamps and sizes that their files had."""

    def __init__(self, roots: Sequence[Path], ignored: Sequence[Path] = (), *, since: float) -> None:
        """Of a file that was written after `since`, as time.time(), it is unknown what was loaded."""
        self.roots = tuple(f"{root.resolve()}{os.sep}" for root in roots)
        self.ignored = tuple(f"{path.resolve()}{os.sep}" for path in ignored)
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._modules = 0
        self._since = since
        self._add_new()

    def changed(self) -> list[str]:
        """Return the files that are not as they were when they were loaded."""
        if len(sys.modules) != self._modules:
            self._add_new()
        return [path for path, stamp in self._stamps.items() if stamp is None or stamp != (_stamp(path) or _GONE)]

    def renew(self) -> None:
        """Take the files as they are: whoever looked at their content found it unchanged."""
        self._stamps = {path: _stamp(path) or _GONE for path in self._stamps}

    def _counts(self, path: str) -> bool:
        inside = path.startswith(self.roots) and not path.startswith(self.ignored)
        return inside and f"{os.sep}site-packages{os.sep}" not in path

    def _add_new(self) -> None:
        self._modules = len(sys.modules)
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            path = os.path.realpath(file) if isinstance(file, str) else ""
            if self._counts(path) and path not in self._stamps:
                stamp = _stamp(path)
                self._stamps[path] = stamp if stamp and stamp[0] <= self._since * 1e9 else None


#: What both clocks are out by at most, in seconds; Python itself takes longer to come to the first module of a project.
_CLOCK_TICKS = 0.02


def began() -> float:
    """Return when this process began, as time.time(); where the system does not tell, how long it has reckoned ago."""
    try:
        with open("/proc/uptime") as uptime, open("/proc/self/stat") as stat:
            ticks = int(stat.read().rpartition(")")[2].split()[19])  # field 22 of proc(5), starttime
            age = float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
            return time.time() - age + _CLOCK_TICKS
    except (OSError, ValueError, IndexError):
        return time.time() - time.process_time()


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def obey(line: Line, intake: Intake, sources: Sources, stop: Stop) -> None:
    """Have the worker that is about to start in this process do what the supervisor says."""
    from celery.signals import worker_ready
    from celery.worker import state

    def resume() -> None:
        sources.renew()
        intake.resume()

    def is_stale() -> bool:
        changed = sources.changed()
        if changed and not intake.paused:
            intake.paused = True  # first, or the answer might come before
            line.say("stale", paths=changed)
        return bool(changed)

    def end() -> None:
        if state.should_stop is None:
            state.should_stop = 0

    intake.refuses = is_stale
    worker_ready.connect(lambda **_: line.say("ready"), weak=False)
    line.listen(pause=intake.pause, resume=resume, leave=stop.be_replaced, end=end)
