"""What the reload of a worker and that of beat share: a process in charge, the next one, and those that are ending."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tasktools.supervisor.child import Child
from tasktools.supervisor.loop import Loop
from tasktools.supervisor.process import Process
from tasktools.supervisor.watcher import Files, forget_compiled

#: How long a process may take to end after it was asked to end at once, in seconds. Then it is killed.
PATIENCE = 5.0

#: How long after the third signal the remaining processes are killed, in seconds.
FORCE = 1.5

#: How long to wait before restarting a process that ended by itself, in seconds. Each pause is twice as long as the last.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0

#: A process that has run for so long has not failed at its start: the next pause is the first pause again.
STEADY = 60.0


class Plan(NamedTuple):
    """What the supervisor has to do. It comes as JSON from the command that becomes the supervisor."""

    #: "worker" or "beat".
    kind: str
    #: The command line that starts the process again.
    command: list[str]
    #: The first process, if it has already been started, and the descriptor of our end of the line to it.
    pid: int | None = None
    line: int | None = None
    #: Folders to watch, folders in them to leave out, further patterns of files.
    roots: Sequence[str] = ()
    ignore: Sequence[str] = ()
    include: Sequence[str] = ()
    #: When the first process began to load the code, as time.time().
    since: float | None = None
    #: How long tasks may go on in a process that has been replaced, in seconds.
    grace: float = 30.0
    color: bool = False


class Reloader(Loop):
    """Base of the two strategies: they override `changed`, `ready` and `left`."""

    def __init__(
        self, plan: Plan, files: Files, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(say, clock)
        self.plan = plan
        self.files = files
        self.begun = False
        self.stopping = 0
        #: When the third signal came.
        self.forced: float | None = None
        self.started = 0
        #: Whether no more processes are started, and the remaining ones end by themselves.
        self.is_over = False
        self._code = 0
        #: The process in charge, and the one that is loading the new code.
        self.current: Child | None = None
        self.next: Child | None = None
        #: When the change that led to `next` was seen.
        self.seen = self.clock()
        #: When to start a process again, and how long that pause is.
        self._again: float | None = None
        self._pause = FIRST_PAUSE / 2

    def begin(self) -> None:
        """Take over the first process, or start it, unless a signal came before."""
        self.begun = True
        if self.plan.pid is not None and self.plan.line is not None:
            self.started = 1
            self.current = self._adopt(Child(self.plan.pid, socket.socket(fileno=self.plan.line), number=1))
            if self.stopping:
                self.current.end()
        elif not self.stopping:
            self.current = self.start()
        self._finish_if_alone()

    # what the strategies do

    def changed(self) -> None:
        """The content of files differs from what the process in charge has loaded."""
        raise NotImplementedError

    def ready(self, child: Child) -> None:
        """A process has loaded the code."""
        raise NotImplementedError

    def left(self, child: Child) -> None:
        """A process has ended during normal operation, not during a stop."""
        raise NotImplementedError

    def runs(self, child: Child) -> None:
        """A beat that was asked to begin has begun."""

    # what they share

    def start(self) -> Child:
        """Start one more process."""
        self.started += 1
        return self._adopt(Child.start(self.plan.command, number=self.started))

    def tell_changed(self, paths: Sequence[str]) -> None:
        """Report changed files; may be called from any thread. An empty list does nothing."""
        if paths:
            self.call(lambda: self.take_up(paths))

    def take_up(self, paths: Sequence[str]) -> None:
        """Begin a reload because of these files."""
        if self.stopping or self.is_over:
            return
        for path in paths:
            forget_compiled(path)
        self.say(f"{named(paths)} changed, reloading")
        self.seen = self.clock()
        self._again = None
        self.changed()

    def asked(self, signum: int) -> None:
        """Pass a signal on to every process: Celery knows what the first, second and third mean. A fourth kills."""
        self.stopping += 1
        signum = signal.SIGTERM if signum == signal.SIGHUP else signum
        if self.stopping == 3:
            self.forced = self.clock()
        for process in self.processes:
            process.asked_to_end = process.asked_to_end or self.clock()
            process.send(_for(process, signum))
            if signum == signal.SIGTERM and isinstance(process, Child):
                process.say("end")
        if self.stopping > 3:
            self._kill_all()
        self._finish_if_alone()

    def due(self) -> None:
        """Restart a process that has ended by itself, and kill processes that do not end after three signals."""
        if self._again is not None and self.clock() >= self._again and not self.stopping:
            self._again = None
            self.next = self.start()
            self.next.again = True
        if self.forced is not None and self.clock() - self.forced > FORCE:
            self._kill_all()

    def _kill_all(self) -> None:
        self.forced = None
        for process in self.processes:
            self.say(f"process {process.pid} does not end, it is killed; what it ran is cut off")
            process.kill()

    def ended(self, process: Process) -> None:
        assert isinstance(process, Child)
        self._listen(process)  # to its last words
        self.forget(process.line)
        if self.stopping:
            if process is self.current:
                begun = process.ready or process.exit_code != -signal.SIGTERM
                self._code = (process.exit_code or 0) if begun else 0
        elif not self.is_over:
            self.left(process)
        self._finish_if_alone()

    def say(self, text: str) -> None:
        super().say(f"reload: {text}")

    def wait_for_change(self, child: Child, what: str) -> None:
        """Continue without a process until a file changes, unless that would not help."""
        if child.hopeless:
            self.finish_after_all(child.exit_code or 0)
        else:
            self.say(f"{what} ({child.how_it_ended()}): waiting for a change")

    def finish_after_all(self, code: int) -> None:
        """Leave when the last process has ended: a replaced one may still run tasks."""
        self.is_over, self._code = True, code
        self._finish_if_alone()

    def start_later(self, child: Child, what: str) -> None:
        """Start a process again after a pause. The pause grows until a process has run for a while."""
        ran = self.clock() - child.ready_at
        self._pause = FIRST_PAUSE if ran >= STEADY else min(2 * self._pause, LONGEST_PAUSE)
        self._again = self.clock() + self._pause
        self.say(f"{what} ({child.how_it_ended()}): it starts again in {self._pause:g} s")

    def is_busy(self) -> bool:
        return self._again is not None or super().is_busy()

    def say_ready(self, child: Child) -> None:
        """Say that a process other than the first has taken over."""
        self.say("it runs again" if child.again else f"new code runs after {self.clock() - self.seen:.2f} s")

    def _finish_if_alone(self) -> None:
        if self.begun and (self.stopping or self.is_over) and not self.processes:
            self.finish(self._code)

    def _adopt(self, child: Child) -> Child:
        self.processes.append(child)
        self.listen(child.line, lambda: self._listen(child))
        return child

    def _listen(self, child: Child) -> None:
        for message in child.heard():
            self._hear(child, message)

    def _hear(self, child: Child, message: dict[str, Any]) -> None:
        word = message["say"]
        if word == "ready" and not child.ready:
            child.ready, child.ready_at = True, self.clock()
            self.ready(child)
        elif word == "runs":
            self.runs(child)
        elif word in ("hopeless", "done"):
            setattr(child, word, True)
        elif word == "stale":
            self._look(child, message["paths"])

    def _look(self, child: Child, paths: list[str]) -> None:
        """Handle a process that has paused because the time stamps of its code have changed since it loaded it."""
        changed = self.files.changed(paths)
        if changed:
            self.take_up(changed)
        else:
            self.call(lambda: self._release(child))  # after what the watcher has found by now

    def _release(self, child: Child) -> None:
        if child is self.current and not self.next:
            child.say("resume")


def _for(process: Process, signum: int) -> int:
    """Return the signal to send to a process. One that still loads has nothing to finish, and SIGINT would print a traceback."""
    loads = isinstance(process, Child) and not process.ready
    return signal.SIGTERM if loads and signum == signal.SIGINT else signum


def named(paths: Sequence[str], most: int = 3) -> str:
    """Return the changed files as text for a person, relative to the working folder."""
    shown = [os.path.relpath(path) for path in paths[:most]]
    return ", ".join(shown) + (f" and {len(paths) - most} more" if len(paths) > most else "")
