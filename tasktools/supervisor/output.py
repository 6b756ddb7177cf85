"""What several processes print, as whole lines on one stdout, each with the name of its process in front."""

from __future__ import annotations

import os
import select
import time

#: ANSI colours for the names, in the order of the processes: green, magenta, yellow.
COLORS = (32, 35, 33)

#: A line that is longer than this is cut in two, in bytes.
LONGEST_LINE = 1 << 20

#: So much may wait for a slow reader, in bytes; then the processes are read no more until it has caught up.
LIMIT = 1 << 20


class Lines:
    """Makes whole, prefixed lines of what comes in pieces. Bytes stay as they are, whatever their encoding."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return b"".join(self._prefix + line + b"\n" for line in lines)

    def end(self) -> bytes:
        """Return the last line, if it was not completed."""
        return self.feed(b"\n") if self._rest else b""


def prefixes(names: list[str], *, color: bool) -> dict[str, bytes]:
    """Return what stands in front of each process's lines."""
    width = max(map(len, names))
    if not color:
        return {name: f"{name:{width}} | ".encode() for name in names}
    return {
        name: f"\033[{COLORS[index % len(COLORS)]}m{name:{width}} |\033[0m ".encode()
        for index, name in enumerate(names)
    }


class Output:
    """A file descriptor whose reader may be slow, or gone. Writing never waits: signals are answered meanwhile."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        #: Whether whoever read it has gone.
        self.gone = False
        self.waiting = b""

    @property
    def full(self) -> bool:
        return len(self.waiting) > LIMIT

    def write(self, data: bytes) -> None:
        """Write what can be written now, and keep the rest. What nobody will read is dropped."""
        if not self.gone and len(self.waiting) < 2 * LIMIT:
            self.waiting += data
            self.push()

    def push(self, timeout: float = 0) -> None:
        """Write what the reader takes, without waiting, or for `timeout` seconds at most."""
        deadline = time.monotonic() + timeout
        while self.waiting and self._is_ready(max(0.0, deadline - time.monotonic())):
            try:  # a pipe that is ready takes so much at once
                written = os.write(self.descriptor, self.waiting[: select.PIPE_BUF])
            except OSError:
                self.gone, self.waiting = True, b""
            else:
                self.waiting = self.waiting[written:]

    def _is_ready(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        return bool(poll.poll(timeout * 1000))  # an error counts: the write tells which
