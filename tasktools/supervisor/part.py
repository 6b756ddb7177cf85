"""One part of the site: its process, what it prints, and the steps by which it is brought to its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tasktools.supervisor.output import Lines
from tasktools.supervisor.process import Process, spawn

#: How long a part's pipe is read after its end: its own children may have more to say, in seconds.
LINGER = 2.0

#: What a worker or beat is sent, one after the other: warm, cold, and the third, at which its reload kills.
STEPS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)

_PR_SET_PDEATHSIG = 1


class Part(Process):
    """The web server, the worker or beat."""

    def __init__(self, pid: int, name: str, pipe: int, prefix: bytes) -> None:
        super().__init__(pid, name)
        self.pipe = os.fdopen(pipe, "rb", buffering=0)
        self.lines = Lines(prefix)
        #: How many signals it has been sent.
        self.sent = 0
        #: When it was forced, by the loop's clock.
        self.forced: float | None = None
        self._over: float | None = None

    @classmethod
    def start(cls, name: str, command: Sequence[str], prefix: bytes) -> Part:
        """Start `command` with stdout and stderr in one pipe."""
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
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
        """Return the whole lines that it has printed since; None once there will be no more."""
        try:
            data = self.pipe.read(65536)
        except OSError:
            data = b""
        if data is None:
            return b""
        return self.lines.feed(data) if data else None

    def step(self) -> None:
        """Send the next signal. The web server's goes to its whole group: its reload has a child there."""
        if self.exit_code is None and self.sent < len(STEPS):
            signum = STEPS[self.sent]
            self.sent += 1
            if self.name == "web":
                with contextlib.suppress(ProcessLookupError, PermissionError):  # all in it are zombies
                    os.killpg(self.pid, signum)
            else:
                self.send(signum)

    def has_ended(self) -> bool:
        """Whether it has ended and has nothing more to say. What is left of its group then is ended too."""
        if not super().has_ended():
            return False
        if self._over is None:
            self._over = time.monotonic()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.pipe.closed or time.monotonic() - self._over > LINGER


def ends_with_its_parent() -> Callable[[], None] | None:
    """Return what a new process does so that it gets SIGTERM when this one is killed; None where there is no such thing.

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
