"""The file that `python -m tasktools.probe` reads: this process writes there that it is alive, and when it is not.

Where it is, and what its lines are, says tasktools.probe, which imports nothing of this package.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from tasktools import probe
from tasktools.health.answer import Watch
from tasktools.terminal import line

#: A process that has not run for so many times as long as it wanted to pause has stood still as a whole.
STOOD_STILL = 3


class Heartbeat:
    """Writes the file of this process, whose name is `name`."""

    def __init__(self, kind: str, name: str, watch: Watch) -> None:
        self._folders = probe.folders(os.getcwd())
        self.folder = Path(self._folders[-1])
        self.path = self.folder / f"{kind}-{probe.escaped(name)}"
        self.kind = kind
        self.name = name
        self._watch = watch
        self._period = watch.limits.write
        self._process = os.getpid()
        self._written = ""
        self._over = threading.Event()
        self._writing = threading.Lock()

    def start(self) -> str:
        """Write the file, and go on in a daemon thread. Return why it cannot be written, "" if it can."""
        try:
            for each in self._folders:
                _make(Path(each))
                if wrong := probe.refusal(each):
                    return wrong
            if self.kind == "beat":
                self._forget_dead()
            self.write()
        except OSError as error:
            return f'"{self.path}" cannot be written: {error.strerror}'
        threading.Thread(target=self._go_on, daemon=True, name="heartbeat").start()
        return ""

    def stop(self) -> None:
        """Write no more. The file is removed, unless another process has written it."""
        self._over.set()
        if os.getpid() != self._process:
            return
        with self._writing, contextlib.suppress(OSError, IndexError):
            if self.path.read_text(errors="replace").split("\n")[2] == str(self._process):
                self.path.unlink()

    def write(self) -> None:
        """Write what a probe is told. Only the time of the file changes if it says the same as before. Raises OSError."""
        answer = self._watch.live()
        state = probe.ALIVE if answer.ok else probe.DEAD
        reason = "" if answer.ok else line(answer.reason)
        text = f"{state}\n{line(self.name)}\n{self._process}\n{reason}\n"
        if text == self._written:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.path)
                return
        beside = self.path.with_name(
            f".{self.path.name}.{self._process}"
        )  # no probe takes it for the file of a process
        beside.write_text(text, encoding="utf-8", errors="replace")
        beside.replace(self.path)
        self._written = text

    def _go_on(self) -> None:
        last = time.monotonic()
        while not self._over.wait(self._period):
            now = time.monotonic()
            if now - last > STOOD_STILL * self._period:
                self._watch.forgive()
            last = now
            with self._writing, contextlib.suppress(OSError):  # a full disk: the age of the file says it
                if not self._over.is_set():
                    self.write()

    def _forget_dead(self) -> None:
        """Remove the files of beats that are gone: each beat is called by its process id."""
        for each in self.folder.glob(f"{self.kind}-*"):
            with contextlib.suppress(OSError, IndexError, ValueError):
                process = int(each.read_text(errors="replace").split("\n")[2])
                if not _runs(process):
                    each.unlink()


def _make(folder: Path) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
