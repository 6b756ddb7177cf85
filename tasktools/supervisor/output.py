"""The output of several processes, as whole lines on one stdout; each line begins with the name of its process."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from typing import TextIO

from tasktools.supervisor.reports import MARK
from tasktools.terminal import line

#: ANSI colours for the names, in the order of the processes: green, magenta, yellow.
COLORS = (32, 35, 33)

#: A longer line is cut in two, in bytes.
LONGEST_LINE = 1 << 20

#: How much may wait for a slow reader, in bytes. With more, nothing is read from the processes until the reader catches up.
LIMIT = 1 << 20


class Lines:
    """Makes whole lines with a prefix from pieces of output. It does not change the bytes, whatever their encoding is."""

    def __init__(self, prefix: bytes, report: Callable[[str], None] = lambda text: None) -> None:
        self._prefix = prefix
        self._report = report
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return b"".join(self._prefix + line + b"\n" for line in lines if not self._is_report(line))

    def end(self) -> bytes:
        """Return the last line if it is incomplete."""
        return self.feed(b"\n") if self._rest else b""

    def _is_report(self, line: bytes) -> bool:
        """Whether a line is for the site and not for a person; the site gets its text."""
        mark, text = line[:1], line[1:]
        if mark != MARK.encode():
            return False
        self._report(text.decode(errors="replace"))
        return True


def prefixes(names: list[str], *, color: bool) -> dict[str, bytes]:
    """Return the prefix of each process's lines."""
    width = max(map(len, names))
    if not color:
        return {name: f"{name:{width}} | ".encode() for name in names}
    return {
        name: f"\033[{COLORS[index % len(COLORS)]}m{name:{width}} |\033[0m ".encode()
        for index, name in enumerate(names)
    }


class Output:
    """A file descriptor whose reader may be slow, or gone. Writing never waits, so that the loop can handle signals."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = _opened_again(descriptor) if os.isatty(descriptor) else descriptor
        #: Whether its reader has gone.
        self.gone = False
        self.waiting = b""

    @property
    def full(self) -> bool:
        return len(self.waiting) > LIMIT

    def write(self, data: bytes) -> None:
        """Write what can be written now, and keep the rest. Output that nobody will read is dropped."""
        if not self.gone and len(self.waiting) < 2 * LIMIT:
            self.waiting += data
            self.push()

    def push(self, timeout: float = 0) -> None:
        """Write what the reader takes, without waiting, or for at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.waiting and self._is_ready(max(0.0, deadline - time.monotonic())):
            try:  # a pipe that is ready takes PIPE_BUF at once
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
        return bool(poll.poll(timeout * 1000))  # an error also counts as ready: the write raises it


class Notes:
    """Whole lines for a person, on stderr."""

    def __init__(self, descriptor: int, *, color: bool) -> None:
        self.output = Output(descriptor)
        self._before, self._after = ("\033[36m", "\033[0m") if color else ("", "")

    def __call__(self, text: str) -> None:
        self.output.write(f"{self._before}{line(text)}{self._after}\n".encode())


def descriptor_of(stream: TextIO | None) -> int:
    """Return the descriptor of stdout or stderr. If it was closed before, another file may use its number: open /dev/null."""
    return os.open(os.devnull, os.O_WRONLY) if stream is None else stream.fileno()


def _opened_again(terminal: int) -> int:
    """Return a descriptor of a terminal on which writing never waits, even after Ctrl-S.

    O_NONBLOCK belongs to the open file, which the shell shares with us, so the terminal is opened once more. If that is not
    allowed (another user's terminal), it may be the controlling one, which everybody may open. If not, writing may wait.
    """
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK
    with contextlib.suppress(OSError):
        return os.open(os.ttyname(terminal), flags)
    with contextlib.suppress(OSError):
        os.tcgetpgrp(terminal)  # an error unless it is the controlling one
        return os.open("/dev/tty", flags)
    return terminal
