"""One process that the supervisor has started: its id, and its exit code once it has ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any


class Process:
    """A process in its own session: a Ctrl-C reaches it only through the supervisor, and only once."""

    def __init__(self, pid: int, name: str = "") -> None:
        self.pid = pid
        self.name = name
        #: For a process that a signal killed, minus the signal's number; None as long as it runs.
        self.exit_code: int | None = None
        #: When it was asked to end, by time.monotonic(); None before.
        self.asked_to_end: float | None = None

    def send(self, signum: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.exit_code is None:
            os.kill(self.pid, signum)

    def end(self, signum: int = signal.SIGTERM) -> None:
        """Ask it to end, only once."""
        if self.asked_to_end is None:
            self.asked_to_end = time.monotonic()
            self.send(signum)

    def kill(self) -> None:
        """Kill its whole process group now. This does not reach children that have made their own session."""
        if self.exit_code is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # it has not made its group yet, or all in it are zombies
                with contextlib.suppress(ProcessLookupError):
                    self.send(signal.SIGKILL)

    def how_it_ended(self) -> str:
        """Return how it has ended: "exit code 2", "SIGKILL"."""
        code = self.exit_code or 0
        with contextlib.suppress(ValueError):
            return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return f"signal {-code}"

    def has_ended(self) -> bool:
        """Whether it has ended; sets its exit code."""
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None


def spawn(command: Sequence[str], **options: Any) -> int:
    """Start `command` in its own session and return its process id. Options are those of subprocess.Popen."""
    started = subprocess.Popen(command, start_new_session=True, **options)
    started.returncode = 0  # Process waits for it; this object must not
    return started.pid
