"""Projects on disk, a Valkey that runs already, and processes that are ended by their own handle.

Both sides talk to the same server, the private Valkey of `ours`, by its unix socket: ours as tasktools finds it
(database 0), a stock site by `redis+socket://` in its settings (database STOCK_DATABASE), so that neither sees the other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import redis

from benchmarks import processes
from tasktools.valkey.server import Home, ensure

#: How long a process may take to do one thing, in seconds; the machine may be busy.
LIMIT = 120.0

OURS_DATABASE = 0
STOCK_DATABASE = 1

PYTHON = sys.executable

TASKS = """\
from celery import shared_task


@shared_task
def add(x, y):
    return x + y


@shared_task(ignore_result=True)
def noop():
    pass
"""

#: proj/celery.py and proj/__init__.py as Celery's "First steps with Django" has them.
STOCK_CELERY = """\
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")

app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(bind=True, ignore_result=True)
def debug_task(self):
    print(f"Request: {self.request!r}")
"""
STOCK_INIT = """\
from .celery import app as celery_app

__all__ = ("celery_app",)
"""


@dataclass(frozen=True, kw_only=True)
class Sites:
    """The two projects of a benchmark with workers, and the server that both use."""

    ours: Path
    stock: Path
    socket: Path

    def client(self, database: int) -> redis.Redis:
        """Return a client of one side's database."""
        return redis.Redis(unix_socket_path=str(self.socket), db=database)

    def clear(self) -> None:
        """Empty both databases and the server's file: each run finds what the first one found.

        Without it the server would rewrite its file in the middle of some run.
        """
        with self.client(OURS_DATABASE) as client:
            client.flushall()
            self._await_rewritten(client)  # it may have begun by itself, and refuses a second one
            client.bgrewriteaof()
            self._await_rewritten(client)

    @staticmethod
    def _await_rewritten(client: redis.Redis) -> None:
        await_(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "the server to rewrite its file")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for the projects of one benchmark, and remove it."""
    # So that a benchmark that is told to end ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="tasktools-benchmark-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


@contextlib.contextmanager
def sites() -> Iterator[Sites]:
    """Make a project with tasktools and a stock one, with the private Valkey of the first running for both."""
    with folder() as root:
        ours = make_project(root / "ours", ["tasktools", "shop"])
        with server(ours) as socket:
            stock = make_stock_project(root / "stock", broker_url(socket, STOCK_DATABASE))
            yield Sites(ours=ours, stock=stock, socket=socket)


def broker_url(socket: Path, database: int) -> str:
    """Return the URL of one database of the server, as Celery reads it."""
    return f"redis+socket://{socket}?virtual_host={database}"


def make_stock_project(root: Path, url: str) -> Path:
    """Make a project `proj` with `shop`, without tasktools, that has `url` as broker and result backend."""
    make_project(root, ["shop"], f'CELERY_BROKER_URL = "{url}"\nCELERY_RESULT_BACKEND = "{url}"\n')
    (root / "proj/celery.py").write_text(STOCK_CELERY)
    (root / "proj/__init__.py").write_text(STOCK_INIT)
    return root


def make_project(root: Path, apps: Sequence[str], settings: str = "") -> Path:
    """Have Django make a project `proj` in `root`, install `apps` in it (`shop` is written), and return `root`."""
    root.mkdir()
    timed([PYTHON, "-m", "django", "startproject", "proj", "."], root)
    with (root / "proj/settings.py").open("a") as file:
        file.write(f"\nINSTALLED_APPS += {list(apps)!r}\n{settings}")
    if "shop" in apps:
        (root / "shop").mkdir()
        (root / "shop/__init__.py").touch()
        (root / "shop/tasks.py").write_text(TASKS)
    return root


@contextlib.contextmanager
def server(project: Path) -> Iterator[Path]:
    """Start the private Valkey of `project` and stay its client; yield its socket, and end it."""
    home = Home(folder=project / ".tasktools", linger=1.0)
    ensure(home)
    client = redis.Redis(unix_socket_path=str(home.socket))
    client.ping()
    pid_file = home.folder / "valkey.pid"
    await_(lambda: pid_file.exists() and pid_file.read_text().isdigit(), "the private Valkey's process id")
    pid = int(pid_file.read_text())
    try:
        yield home.socket
    finally:
        client.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        await_(lambda: not _lives(pid), "the private Valkey to end")


def timed(command: Sequence[str], root: Path) -> float:
    """Run a command in `root` to its end, and return how long the whole process took, in seconds."""
    return finished(command, root)[0]


def finished(command: Sequence[str], root: Path) -> tuple[float, str]:
    """Run a command in `root` to its end; return how long the whole process took, in seconds, and its stdout.

    Raises RuntimeError with its output when it fails.
    """
    begin = time.perf_counter()
    done = subprocess.run(
        command, cwd=root, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


@contextlib.contextmanager
def started(
    command: Sequence[str], root: Path, output: int | IO[bytes], limit: float | None = LIMIT
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker in `root` with stdout and stderr to `output`; end it by SIGTERM and wait for it.

    It is killed after `limit` seconds.

    Raises RuntimeError when it does not end as it should: its figure would be of a broken worker.
    """
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    # A pipe that nobody waits at must not keep us for ever.
    watchdog = threading.Timer(limit or 0, lambda: processes.kill(processes.groups(process.pid)))
    if limit:
        watchdog.start()
    known: set[int] = set()
    try:
        yield process
        known = processes.groups(process.pid)
        process.terminate()
        process.communicate(timeout=LIMIT)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}.")
    finally:
        watchdog.cancel()
        if process.returncode is None:
            known |= processes.groups(process.pid)
        processes.kill(known)
        process.wait()


def environment() -> dict[str, str]:
    """Return this process's environment without what would lead a project elsewhere or measure it."""
    foreign = ("CELERY", "TASKTOOLS", "DJANGO", "COVERAGE", "PYTHON")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)}


def program(name: str) -> str:
    """Return the path of a program that stands beside this Python."""
    return str(Path(sys.executable).with_name(name))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def await_(done: Callable[[], bool], what: str) -> None:
    """Return once `done` is true. Raises RuntimeError after LIMIT seconds."""
    deadline = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {LIMIT:g} s for {what}.")
        time.sleep(0.01)
