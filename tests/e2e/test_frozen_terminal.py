"""A terminal that takes no output, as after Ctrl-S: signals are heard all the same."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import LIMIT, Site, wait_for

FLOOD = """
import os
from celery import shared_task

@shared_task
def flood():
    open("begun", "w").close()
    for _ in range(100):
        os.write(1, (b"x" * 999 + b"\\n") * 1000)
"""


class Terminal:
    """A command in a terminal that is read until it is frozen."""

    def __init__(self, site: Site, *words: str) -> None:
        self.reader, ours = pty.openpty()
        self.output = b""
        self.frozen = False
        self.process = subprocess.Popen(
            (sys.executable, "manage.py", *words),
            cwd=site.root,
            env=site.variables(),
            stdin=ours,
            stdout=ours,
            stderr=ours,
            start_new_session=True,
        )
        os.close(ours)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while not self.frozen:
            try:
                self.output += os.read(self.reader, 4096)
            except OSError:
                return

    def end(self, signum: int) -> tuple[int, float]:
        """Return the exit code, and how many seconds the end took."""
        began = time.monotonic()
        self.process.send_signal(signum)
        return self.process.wait(LIMIT), time.monotonic() - began


@pytest.fixture
def flooded(site: Site, tmp_path: Path) -> Iterator[Terminal]:
    site.minimal().write("shop/tasks.py", FLOOD)
    terminal = Terminal(site, "rundev", "--no-web", "--no-beat", "--worker", "--noreload -c 1 --without-mingle")
    try:
        wait_for(lambda: b" ready." in terminal.output)
        terminal.frozen = True
        assert site.manage("enqueue", "flood").returncode == 0
        wait_for((tmp_path / "begun").exists)
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.reader)


def test_rundev__whose_terminal_takes_nothing_hears_signals(flooded: Terminal) -> None:
    code, seconds = flooded.end(signal.SIGTERM)
    assert code == 0
    assert seconds < 50  # the worker finishes its task
