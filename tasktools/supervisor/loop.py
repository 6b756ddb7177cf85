"""The loop: it owns processes and signals. Handlers only write to a pipe; everything happens in `tick`."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from tasktools.supervisor.output import Notes, Output
from tasktools.supervisor.process import Process

#: Longest sleep, in seconds, while the loop waits for something that only depends on time.
PERIOD = 0.1

#: The signals that end everything.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)

#: How long to wait for a slow reader at the end, in seconds.
LAST_WORDS = 1.0


class Loop:
    """Base of the strategies. They override `begin`, `asked`, `ended`, `due` and `is_busy`."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.processes: list[Process] = []
        self.exit_code: int | None = None
        #: Outputs that are written without waiting: the rest is written later, when that is possible.
        self.outputs: list[Output] = [say.output] if isinstance(say, Notes) else []
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._calls: list[Callable[[], None]] = []
        self._inbox, self._door = os.pipe()
        os.set_blocking(self._inbox, False)
        os.set_blocking(self._door, False)
        self._selector.register(self._inbox, selectors.EVENT_READ, self._read_inbox)

    # what the strategies do

    def begin(self) -> None:
        """Start the processes; the loop already handles signals."""
        raise NotImplementedError

    def asked(self, signum: int) -> None:
        """SIGTERM, SIGINT, SIGQUIT or SIGHUP has come."""
        raise NotImplementedError

    def ended(self, process: Process) -> None:
        """A process has ended; it is no longer in `processes`."""
        raise NotImplementedError

    def due(self) -> None:
        """Do what depends only on time."""

    def is_busy(self) -> bool:
        """Whether the loop waits for something that depends only on time."""
        return any(process.asked_to_end for process in self.processes)

    # the loop

    def run(self) -> int:
        """Begin, and loop until a strategy calls `finish`; return the exit code."""
        signal.set_wakeup_fd(self._door, warn_on_full_buffer=False)
        for signum in (*ENDING, signal.SIGCHLD):
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup keeps its effect
                signal.signal(signum, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # `become` has blocked them until now
        self.call(self.begin)
        while self.exit_code is None:
            self.tick()
        for output in self.outputs:
            output.push(timeout=LAST_WORDS)
        return self.exit_code

    def tick(self) -> None:
        """Wait for an event, and handle it."""
        waits = any(output.waiting for output in self.outputs)
        for key, _ in self._selector.select(PERIOD if waits or self.is_busy() else None):
            key.data()
        while self._calls:
            self._calls.pop(0)()
        for process in list(self.processes):
            if process.has_ended():
                self.processes.remove(process)
                self.ended(process)
        self.due()
        for output in self.outputs:
            output.push()

    def call(self, function: Callable[[], None]) -> None:
        """Make the loop call `function`; may be called from any thread."""
        self._calls.append(function)
        with contextlib.suppress(BlockingIOError):  # a full pipe also wakes the loop
            os.write(self._door, b"\0")

    def listen(self, source: Any, handler: Callable[[], None]) -> None:
        """Call `handler` whenever `source`, a file or socket, has something to read."""
        self._selector.register(source, selectors.EVENT_READ, handler)

    def forget(self, source: Any) -> None:
        """Stop listening to `source`, and close it."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(source)
        source.close()

    def say(self, text: str) -> None:
        """Write one line for a person."""
        self._say(text)

    def finish(self, code: int) -> None:
        """Leave the loop. For a process that a signal killed, the exit code is 128 plus the number, as in a shell."""
        self.exit_code = code if code >= 0 else 128 - code

    def _read_inbox(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for signum in os.read(self._inbox, 4096):
                if signum not in (0, signal.SIGCHLD):
                    self.asked(signum)


def leave(code: int) -> NoReturn:
    """Exit with `code`, and ignore signals from now on: Python restores their default action before it ends."""
    for signum in ENDING:
        signal.signal(signum, signal.SIG_IGN)
    sys.exit(code)
