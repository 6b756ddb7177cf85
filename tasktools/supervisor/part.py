"""One part of the site: its process, its output, and the steps to stop it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tasktools.supervisor import reports
from tasktools.supervisor.output import Lines
from tasktools.supervisor.process import Process, spawn

#: How long a part's pipe is read after its end, in seconds: its own children may print more.
LINGER = 2.0

#: The signals for a worker or beat, one after the other: warm, cold, and a third, after which its supervisor kills.
STEPS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)

_PR_SET_PDEATHSIG = 1


class Part(Process):
    """The web server, the worker or beat."""

    def __init__(self, pid: int, name: str, pipe: int, prefix: bytes) -> None:
        super().__init__(pid, name)
        self.pipe = os.fdopen(pipe, "rb", buffering=0)
        self.prefix = prefix
        #: What it has reported, in place of a line of its output.
        self.reports: list[str] = []
        self.lines = Lines(prefix, self.reports.append)
        #: How many signals have been sent to it.
        self.sent = 0
        #: When it was forced, by the loop's clock.
        self.forced: float | None = None
        self._over: float | None = None

    @classmethod
    def start(cls, name: str, command: Sequence[str], prefix: bytes) -> Part:
        """Start `command` with stdout and stderr in one pipe."""
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", reports.VARIABLE: "1"}
        try:
            pid = spawn(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                preexec_fn=ends_with_its_parent(),
            )
        finally:
            os.close(theirs)
        return cls(pid, name, ours, prefix)

    def read(self) -> bytes | None:
        """Return the whole lines that it has printed since the last call; None if there will be no more."""
        try:
            data = self.pipe.read(65536)
        except OSError:
            data = b""
        if data is None:
            return b""
        return self.lines.feed(data) if data else None

    def step(self) -> None:
        """Send the next signal. For the web server, it goes to the whole group: its autoreloader has a child there."""
        if self.exit_code is None and self.sent < len(STEPS):
            signum = STEPS[self.sent]
            self.sent += 1
            if self.name == "web":
                with contextlib.suppress(ProcessLookupError, PermissionError):  # all in it are zombies
                    os.killpg(self.pid, signum)
            else:
                self.send(signum)

    def has_ended(self) -> bool:
        """Whether it has ended and will print nothing more. When it ends, the rest of its process group is killed."""
        if not super().has_ended():
            return False
        if self._over is None:
            self._over = time.monotonic()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.pipe.closed or time.monotonic() - self._over > LINGER


def ends_with_its_parent() -> Callable[[], None] | None:
    """Return a function that makes a new process get SIGTERM when this one is killed; None if the system cannot do that.

    It runs between fork and exec, which is safe here: this process has one thread, and the library is loaded before.
    """
    if not sys.platform.startswith("linux"):
        return None
    parent, prctl = os.getpid(), ctypes.CDLL(None).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # killed in between
            os._exit(1)

    return prepare
