"""A supervised worker or beat, and the line to it: a socket on which both sides write lines of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from tasktools.supervisor.process import Process, spawn

#: The environment variable that gives a process its end of the line (a file descriptor), and how many processes came before.
LINE = "TASKTOOLS_LINE"


class Child(Process):
    """A worker or a beat, and what it has said."""

    def __init__(self, pid: int, line: socket.socket, *, number: int) -> None:
        super().__init__(pid)
        self.line = line
        #: 1 for the first one that was started.
        self.number = number
        self.ready = False
        #: When it said so, by the loop's clock.
        self.ready_at = 0.0
        #: Whether it has said that it ended as intended.
        self.done = False
        #: Whether it was started because the one before it had ended by itself.
        self.again = False
        #: Whether it has said that no change of a file will fix what keeps it from starting.
        self.hopeless = False
        self._rest = b""
        line.setblocking(False)

    @classmethod
    def start(cls, command: Sequence[str], *, number: int) -> Child:
        """Start `command` with a line to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {**os.environ, LINE: f"{theirs.fileno()} {number - 1}"}
            pid = spawn(command, env=environment, pass_fds=[theirs.fileno()])
        return cls(pid, ours, number=number)

    def say(self, word: str, **more: Any) -> None:
        """Send it a message. A process that has gone gets nothing; the loop notices its end."""
        with contextlib.suppress(OSError):
            self.line.sendall(json.dumps({"say": word, **more}).encode() + b"\n")

    def heard(self) -> Iterator[dict[str, Any]]:
        """Yield the messages that have come since the last call."""
        received = b""
        with contextlib.suppress(OSError):
            received = self.line.recv(65536)
        *lines, self._rest = (self._rest + received).split(b"\n")
        yield from (json.loads(line) for line in lines if line)
