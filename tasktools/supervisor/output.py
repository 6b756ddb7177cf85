"""What several processes print, as whole lines on one stdout, each with the name of its process in front."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TextIO

from tasktools.terminal import line

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
        self.descriptor = _opened_again(descriptor) if os.isatty(descriptor) else descriptor
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
            except BlockingIOError:  # a terminal that was ready for less
                return
            except OSError:
                self.gone, self.waiting = True, b""
            else:
                self.waiting = self.waiting[written:]

    def _is_ready(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        return bool(poll.poll(timeout * 1000))  # an error counts: the write shows which


class Notes:
    """Whole lines for a person, on stderr."""

    def __init__(self, descriptor: int, *, color: bool) -> None:
        self.output = Output(descriptor)
        self._before, self._after = ("\033[36m", "\033[0m") if color else ("", "")

    def __call__(self, text: str) -> None:
        self.output.write(f"{self._before}{line(text)}{self._after}\n".encode())


def descriptor_of(stream: TextIO | None) -> int:
    """Return the descriptor of stdout or stderr; of one that was closed before we began, whose number another file may have."""
    return os.open(os.devnull, os.O_WRONLY) if stream is None else stream.fileno()


def _opened_again(terminal: int) -> int:
    """Return a descriptor of a terminal on which writing never waits, also after Ctrl-S.

    O_NONBLOCK belongs to what was opened, which the shell shares with us; so it is opened once more. Where that is refused,
    as for another user's terminal, it may be the controlling one, which everybody may open. Else writing may wait.
    """
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK
    with contextlib.suppress(OSError):
        return os.open(os.ttyname(terminal), flags)
    with contextlib.suppress(OSError):
        os.tcgetpgrp(terminal)  # an error unless it is the controlling one
        return os.open("/dev/tty", flags)
    return terminal
