"""Beats as real processes: started, told to end, started again as whatever runs containers does, and counted."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import LIMIT, environment

#: How long a beat that has ended by itself stays away, in seconds.
AGAIN = 1.0

#: How long a beat may take to end after SIGTERM, in seconds.
PATIENCE = 15.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A beat that has ended without having been told to."""

    at: float
    number: int
    code: int
    #: The last line that it has written.
    said: str


class Beat:
    """One place for a beat: the process in it changes."""

    def __init__(self, number: int, command: Sequence[str], root: Path, log: Path) -> None:
        self.number = number
        self.command = command
        self.root = root
        self.log = log
        #: When it was told to end (time.monotonic); 0 if it was not.
        self.told = 0.0
        self.is_stopped = False
        self.restarts = True
        #: When it was found to have ended by itself.
        self.ended = 0.0
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command,
                cwd=self.root,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether it runs and nobody has told it to end or has stopped it."""
        return self.process.poll() is None and not self.told and not self.is_stopped

    def start(self) -> None:
        self.told = self.ended = 0.0
        self.is_stopped = False
        self.process = self._begin()

    def kill(self) -> None:
        self.told = time.monotonic()
        self.process.kill()

    def terminate(self) -> None:
        self.told = time.monotonic()
        self.resume()
        self.process.terminate()

    def stop(self) -> None:
        self.is_stopped = True
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.is_stopped = False
        self.process.send_signal(signal.SIGCONT)

    def last_line(self) -> str:
        """Return the last line of the log that tells something: one that Celery has logged, if there is any.

        What Celery prints (its banner) comes late, and it logs a traceback piece by piece.
        """
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 20_000))
            lines = file.read().decode(errors="replace").splitlines()
        logged = [each.partition("] ")[2] for each in lines if each.startswith("[")]
        return next((each for each in reversed(logged or lines) if re.search(r"\w", each)), "")


class Beats:
    """All beats of one side."""

    def __init__(self, command: Callable[[int], Sequence[str]], root: Path, number: int) -> None:
        self.ended: list[Ended] = []
        self.stubborn = 0
        #: Where the code of each process is that has ever run here.
        self.roots: dict[int, Path] = {}
        self.all: list[Beat] = []
        self._wanted = [(n, command(n), root, root.with_name(f"{root.name}-{n}.log")) for n in range(number)]

    def begin(self) -> None:
        for wanted in self._wanted:
            self.all.append(Beat(*wanted))
            self._note(self.all[-1])

    def _note(self, beat: Beat) -> None:
        self.roots[beat.process.pid] = beat.root

    def look(self) -> None:
        """Start again what has ended. To be called often."""
        now = time.monotonic()
        for beat in self.all:
            if beat.process.poll() is None:
                if beat.told and now - beat.told > PATIENCE:
                    self.stubborn += 1
                    beat.process.kill()
            elif beat.told:
                if beat.restarts:
                    self._start(beat)
            elif not beat.ended:
                beat.ended = now
                code = beat.process.returncode
                self.ended.append(Ended(at=time.time(), number=beat.number, code=code, said=beat.last_line()))
            elif now - beat.ended >= AGAIN:
                self._start(beat)

    def _start(self, beat: Beat) -> None:
        beat.start()
        self._note(beat)

    def wait(self, seconds: float) -> None:
        """Look after the beats for some seconds."""
        self.until(lambda: False, seconds)

    def until(self, done: Callable[[], bool], seconds: float = LIMIT) -> bool:
        """Look after the beats until `done` is true or the time is over; return whether it is true."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() >= end:
                return False
            self.look()
            time.sleep(0.01)
        return True

    def require(self, done: Callable[[], bool], what: str) -> None:
        """Return once `done` is true. Raises RuntimeError after LIMIT seconds, with what the beats have said."""
        if not self.until(done):
            said = "\n".join(beat.last_line() for beat in self.all)
            raise RuntimeError(f"waited {LIMIT:g} s for {what}. The beats have said:\n{said}")

    def of(self, pid: int) -> Beat | None:
        """Return the beat whose process that is now."""
        return next((beat for beat in self.all if beat.process.pid == pid), None)

    def end(self) -> None:
        for beat in self.all:
            with contextlib.suppress(ProcessLookupError):
                beat.terminate()
        for beat in self.all:
            with contextlib.suppress(subprocess.TimeoutExpired):
                beat.process.wait(PATIENCE)
            beat.process.kill()
            beat.process.wait()


@contextlib.contextmanager
def beats(command: Callable[[int], Sequence[str]], root: Path, number: int) -> Iterator[Beats]:
    """Start beats for as long as the context lasts."""
    made = Beats(command, root, number)
    try:
        made.begin()
        yield made
    finally:
        made.end()
