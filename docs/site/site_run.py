"""The demo site, running in a folder of its own, for the pictures."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from docs.site import processes
from docs.site.pages import ROOT, Fault
from docs.site.terminal import Steps, recorded

#: What the pictures show in place of the folder in which the site runs. Both names have the same length, so that what is in
#: columns stays there.
SHOWN = "/srv/mysite"
LIMIT = 60.0  # seconds for each thing that is waited for
NODE = "celery@shop"

#: Settings of the demo in which whoever opens the admin is logged in.
SETTINGS = """
from project.settings import *

MIDDLEWARE += ["docs.site.login.LogIn"]
"""


class SiteRun:
    """The demo site with a private Valkey and a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("CELERY", "TASKTOOLS", "DJANGO"))
            },
            "DJANGO_SETTINGS_MODULE": "project.pictures",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
            "DEMO_LINGER": "500ms",
            "DEMO_DATA_DIR": str(folder / ".tasktools"),
            "DEMO_DATABASE": str(folder / "db.sqlite3"),
        }
        self.environment.pop("NO_COLOR", None)
        shutil.copytree(ROOT / "project", folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "project" / "pictures.py").write_text(SETTINGS)
        shutil.copy(ROOT / "manage.py", folder)
        self._started: list[subprocess.Popen[bytes]] = []

    def manage(self, *words: str) -> str:
        """Run a command and return what it prints.

        Raises Fault when it fails.
        """
        what = f"manage.py {' '.join(words)}"
        done = processes.run(self._command(words), what, LIMIT, folder=self.folder, env=self.environment)
        if done.returncode:
            raise Fault(f"{what} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *words: str) -> Path:
        """Start a command, and return the file of what it prints."""
        log = self.folder / f"{words[0]}.log"
        with log.open("wb") as output:
            self._started.append(
                subprocess.Popen(
                    self._command(words),
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        return log

    def record(self, *words: str, columns: int, steps: Steps = ()) -> tuple[int, str]:
        """Run a command in a terminal; return its exit code and what it writes there, by the names of `shown`."""
        code, text = recorded(self._command(words), self.folder, self.environment, columns, LIMIT, steps)
        return code, self.shown(text)

    def shown(self, text: str) -> str:
        """Return what was written, with the folder as SHOWN, and the machine as shop."""
        text = text.replace(str(self.folder), SHOWN)
        return text.replace(f"{socket.gethostname()} (pid", "shop (pid")

    def stop(self) -> None:
        """Stop what was started, the last one first, and wait for the private Valkey to end."""
        for each in reversed(self._started):
            with contextlib.suppress(ProcessLookupError):
                each.send_signal(signal.SIGTERM)
        for each in reversed(self._started):
            try:
                each.wait(LIMIT)
            except subprocess.TimeoutExpired:
                os.killpg(each.pid, signal.SIGKILL)
                each.wait()
        pid = self.folder / ".tasktools" / "valkey.pid"
        wait_for("the private Valkey to end", lambda: not _runs(pid))

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "manage.py", *words]


@contextlib.contextmanager
def running() -> Iterator[SiteRun]:
    """Run the demo site in a folder of its own, which is gone afterwards."""
    folder = Path(Path("/tmp").resolve(), secrets.token_hex((len(SHOWN) - len("/tmp/")) // 2))
    folder.mkdir(mode=0o700)
    try:
        site = SiteRun(folder)
        try:
            yield site
        finally:
            site.stop()
    finally:
        shutil.rmtree(folder)


def wait_for(what: str, done: Callable[[], object]) -> None:
    """Return when `done` is true.

    Raises Fault after LIMIT.
    """
    deadline = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > deadline:
            raise Fault(f"The demo site of the pictures: waited {LIMIT:g} s for {what}.")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ids(text: str) -> list[str]:
    """Return the ids of tasks in what was printed."""
    return re.findall(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", text)


def _runs(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
