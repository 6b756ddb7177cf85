"""Signals that come in crowds, or before there is anything to stop: each process ends, quietly, with its own exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import LIMIT, REPOSITORY, Site

LOOP = """
import sys
sys.path.insert(0, {root!r})
from tasktools.supervisor.loop import Loop, leave

class Ends(Loop):
    def begin(self): pass
    def asked(self, signum): self.finish(7)

leave(Ends(print).run())
"""


def test_supervisor__keeps_its_exit_code_from_its_first_line_to_its_last() -> None:
    """Signals are blocked before it begins, as by the command that has become it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = subprocess.Popen([sys.executable, "-c", LOOP.format(root=str(REPOSITORY))])
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 7


@pytest.mark.parametrize(
    "words", [("runworker", "--noreload"), ("runworker", "--reload"), ("enqueue", "add", "1", "2")]
)
def test_ctrl_c__while_the_project_is_imported_says_nothing(site: Site, tmp_path: Path, words: tuple[str, ...]) -> None:
    site.minimal().write("shop/tasks.py", "import time\nprint('importing', flush=True)\ntime.sleep(30)\n")
    command = site.start_manage(*words)
    command.wait_for_output("importing\n")  # print writes the end of the line by itself
    assert command.end(signal.SIGINT, LIMIT) in (130, -signal.SIGINT)
    assert command.output == "importing\n"
