"""Projects on disk and real processes for the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fork_server import Forked, ForkServer, python_reads

REPOSITORY = Path(__file__).resolve().parent.parent

#: What Python imports first in the processes of a test.
STARTUP = REPOSITORY / "tests/startup"

#: How long a process may take to do what a test waits for, in seconds. It only ends a test that hangs: the machine may be busy.
#: It is longer than the minute that a command of a test waits by itself: its own report says more.
LIMIT = 120.0

SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent{up}
SECRET_KEY = "tests"
DEBUG = True
USE_TZ = True
ROOT_URLCONF = "{urls}"
INSTALLED_APPS = {apps!r}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}}}
TASKTOOLS_LINGER = "20s"
{more}
"""

#: A celery.py of the project's own, as Celery's pages for Django have it.
CELERY_APP = """
from celery import Celery

app = Celery("mysite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""

#: Settings of a site whose log lines begin with MINE.
LOGGING = """
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"mine": {"format": "MINE %(levelname)s %(name)s %(message)s"}},
    "handlers": {"mine": {"class": "logging.StreamHandler", "formatter": "mine"}},
    "root": {"handlers": ["mine"], "level": "INFO"},
}
"""

TASKS = """
from celery import shared_task

@shared_task
def add(x, y):
    return x + y

@shared_task
def note(path, key):
    with open(path, "a") as file:
        file.write(f"{key}\\n")
"""


def wait_for(predicate: Callable[[], Any], timeout: float = LIMIT, what: str = "", pause: float = 0.02) -> Any:
    """Return what `predicate` returns as soon as it is true; fail after `timeout` seconds. Ask every `pause` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = predicate()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what or predicate}")
        time.sleep(pause)


def save(file: Path, text: str) -> None:
    """Write a file at once, as editors do: a process that reads it meanwhile finds the old text or the new one, never a part."""
    beside = file.with_name(f"{file.name}.new")
    beside.write_text(text)
    if file.exists():
        shutil.copymode(file, beside)
    beside.replace(file)


def stop(pid: int) -> None:
    """Send SIGSTOP to a process, and return when all its threads have stopped: on a busy machine some run on for a while."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: _has_stopped(pid), what=f"process {pid} to stop")


def stop_group(pid: int) -> None:
    """The same for the process group of `pid`."""
    os.killpg(pid, signal.SIGSTOP)
    for each in _group(pid):
        wait_for(lambda: _has_stopped(each), what=f"process {each} to stop")  # noqa: B023 - called at once


def _group(pid: int) -> list[int]:
    """Return the processes of a group as ps names them."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
    rows = (map(int, line.split()) for line in listed.splitlines())
    return [each for each, group in rows if group == pid]


def _has_stopped(pid: int) -> bool:
    """Whether no thread of a process runs: all are stopped, or have ended."""
    words = ["ps", "-p", str(pid), *(["-L"] if sys.platform == "linux" else []), "-o", "stat="]
    states = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()
    return all(state[0] in "TtZX" for state in states)


@dataclass
class Running:
    """A process that a test has started, and what it prints."""

    process: subprocess.Popen[bytes] | Forked
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, timeout: float = LIMIT) -> str:
        def seen() -> bool:
            code = self.process.poll()  # ahead of what it has printed: it may print, and end, at any moment
            if text in self.output:
                return True
            assert code is None, f"it ended with {code}:\n{self.output}"
            return False

        try:
            wait_for(seen, timeout)
        except AssertionError as error:
            raise AssertionError(f"waited for {text!r}: {error}\n{self.output}") from None
        return self.output

    def wait_for_rest(self, text: str, timeout: float = LIMIT) -> str:
        """Return what stands after this text in its line, once the line has ended: a line can be written in parts."""
        self.wait_for_output(text, timeout)
        wait_for(lambda: "\n" in self.output.partition(text)[2], timeout, f"the end of the line of {text!r}")
        return self.output.partition(text)[2].partition("\n")[0]

    def end(self, signum: int = signal.SIGTERM, timeout: float = LIMIT) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.wait(timeout)

    def wait(self, timeout: float = LIMIT) -> int:
        """Wait for its end, and return the exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {timeout:g} s:\n{self.output}") from None


@dataclass
class Site:
    """A Django project on disk, and the processes that a test runs in it. Use it as a context manager."""

    root: Path
    settings_module: str = "mysite.settings"
    environment: dict[str, str] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    #: Whether coverage is measured in its processes, which costs each of them a third of its start.
    measured: bool = False
    #: Whether its workers stop sooner than Celery's do (tests/startup/sitecustomize.py).
    short_waits: bool = True
    #: What starts manage.py quickly, if the test does not start Python itself.
    fork_server: ForkServer | None = None

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.process.pid, signal.SIGTERM)
        for each in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()
        self.end_server()

    def write(self, path: str, text: str = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        for folder in file.parents:
            if folder == self.root:
                break
            (folder / "__init__.py").touch()
        save(file, textwrap.dedent(text).lstrip())
        return file

    def minimal(self, *apps: str, settings: str = "", urls: str = "urls") -> Site:
        """Write settings, a manage.py and, if `apps` are not named, an app `shop` with the tasks of TASKS."""
        package = self.settings_module.count(".")
        more = textwrap.dedent(settings)
        installed = ["django_extensions", "tasktools", *(apps or ("shop",))]
        path = self.settings_module.replace(".", "/") + ".py"
        self.write(path, SETTINGS.format(apps=installed, more=more, urls=urls, up=".parent" * package))
        self.write("urls.py", "urlpatterns = []\n")
        self.write("manage.py", _MANAGE.format(settings=self.settings_module))
        if not apps:
            self.write("shop/__init__.py")
            self.write("shop/tasks.py", TASKS)
        return self

    @property
    def data(self) -> Path:
        return self.root / ".tasktools"

    def variables(self, **more: str) -> dict[str, str]:
        dropped = ("CELERY", "TASKTOOLS", "DJANGO", *(() if self.measured else ("COVERAGE_PROCESS",)))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
        folders = [str(REPOSITORY), *([str(STARTUP)] if self.short_waits else []), kept.get("PYTHONPATH", "")]
        path = os.pathsep.join(folders).rstrip(os.pathsep)
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process compiles what it imports
        quiet = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore::UserWarning"}
        probes = {"TASKTOOLS_PROBE_DIR": str(self.root / ".probes")}
        return {**kept, **quiet, **probes, "PYTHONPATH": path, **self.environment, **more}

    def run(
        self, *command: str, timeout: float = LIMIT, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder and return what it did; its exit code is the test's to judge."""
        variables = self.variables(**(env or {}))
        if not options and self._can_be_forked(command, variables):
            return self._run_forked(command, variables, timeout)
        return subprocess.run(
            command,
            cwd=self.root,
            env=variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **options,
        )

    def _can_be_forked(self, command: Sequence[str], variables: dict[str, str]) -> bool:
        server = self.fork_server
        if server is None or command[0] != sys.executable:
            return False
        if command[1] != "-c" and not command[1].endswith(".py"):
            return False
        return python_reads(variables) == python_reads(server.environment)

    def _run_forked(
        self, command: Sequence[str], variables: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        assert self.fork_server is not None
        with open(os.devnull) as empty, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            files = [each.fileno() for each in (empty, out, err)]
            process = self.fork_server.start(command, self.root, variables, files)
            try:
                code = process.wait(timeout)
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(LIMIT)
                raise
            for each in (out, err):
                each.seek(0)
            return subprocess.CompletedProcess(command, code, out.read(), err.read())

    def manage(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "manage.py", *words, **options)

    def start(self, *command: str, env: dict[str, str] | None = None) -> Running:
        """Start a command in a process group of its own, its output in a file."""
        log = self.root / f"process-{len(self.running)}.log"
        variables = self.variables(**(env or {}))
        process: subprocess.Popen[bytes] | Forked
        with log.open("wb") as output, open(os.devnull) as empty:
            if self.fork_server is not None and self._can_be_forked(command, variables):
                files = [empty.fileno(), output.fileno(), output.fileno()]
                process = self.fork_server.start(command, self.root, variables, files)
            else:
                process = subprocess.Popen(
                    command,
                    cwd=self.root,
                    env=variables,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        self.running.append(Running(process, log))
        return self.running[-1]

    def start_manage(self, *words: str, **options: Any) -> Running:
        return self.start(sys.executable, "manage.py", *words, **options)

    def start_worker(self, *words: str, **options: Any) -> Running:
        """Start runworker and return it when it is ready."""
        worker = self.start_manage(
            "runworker",
            "--noreload",
            "-l",
            "INFO",
            "--without-mingle",
            "--without-gossip",
            "-c",
            "2",
            *words,
            **options,
        )
        worker.wait_for_output(" ready.")
        return worker

    def server_pid(self) -> int | None:
        """Return the process id of the private Valkey, None when it does not run."""
        try:
            pid = int((self.data / "valkey.pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def end_server(self) -> None:
        """End the private Valkey now, without waiting for its last client to go."""
        pid = self.server_pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        self.await_server_end()

    def await_server_end(self) -> None:
        wait_for(lambda: self.server_pid() is None, what="the private Valkey to end")


_MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


@contextlib.contextmanager
def silent_listener() -> Iterator[socket.socket]:
    """Listen on a TCP port, let the system accept, and never say a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """The port of a silent listener."""
    with silent_listener() as listener:
        yield listener.getsockname()[1]


def connections_to(listener: socket.socket) -> int:
    """Return how many connections have come to a silent listener since the last call."""
    listener.setblocking(False)
    number = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            number += 1
    return number


#: The sockets of refusing_port, one for each port.
_refusing: list[socket.socket] = []


def refusing_port() -> int:
    """Return a TCP port that refuses every connection. It stays taken: nobody else is given it meanwhile, and then listens."""
    kept = socket.socket()
    kept.bind(("127.0.0.1", 0))
    _refusing.append(kept)
    return int(kept.getsockname()[1])
