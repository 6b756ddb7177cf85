"""A private Valkey on a unix socket, for development: one server per project, started when it is first needed.

The server keeps its data in one folder (`Home.folder`), listens only on a unix socket, and appends every write to a file,
so that SIGKILL of any process loses no task. A small process beside it (keeper.py) stops it when its last client has gone.

Two locks in the folder make sure that there is only one server. A process that starts or stops a server holds `start.lock`.
The keeper holds `server.lock`, and the server inherits it, so that it is free only if no server has the data open.

Nothing here imports Django, Celery or redis, to keep start-up fast for a process that never talks to the broker.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasktools.exceptions import PrivateServerError
from tasktools.valkey.folders import check_kind, check_peer, check_private, make_private, runtime_folder, unwritable
from tasktools.valkey.program import did_not_start, find_server

#: The longest path that a unix socket takes on every supported system, in bytes (sun_path: 108 on Linux, 104 on macOS).
LONGEST_SOCKET = 100

#: How long a start may take, in seconds; reading a large append-only file takes a while.
START_LIMIT = 30.0

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where the private server of one project is."""

    #: Data folder, absolute.
    folder: Path
    #: How long the server stays on after its last client, in seconds.
    linger: float = 10.0

    @functools.cached_property
    def socket(self) -> Path:
        """The socket's path: in the data folder, or in a private runtime folder if that path cannot be used.

        It depends on the real path of the folder, so that two spellings of one folder lead to one server.
        """
        folder = Path(os.path.realpath(self.folder))  # works even for a loop of links
        path = folder / "valkey.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET and set(str(path)) <= _SAFE:
            return path
        return runtime_folder() / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]}.sock"

    @property
    def shares_folder(self) -> bool:
        """Whether the socket is in a folder that others may have made."""
        return self.socket.parent == runtime_folder()


def ensure(home: Home) -> None:
    """Return when the private server of `home` answers; start it if needed. Safe to call from many processes.

    Raises PrivateServerError when it cannot be started.
    """
    deadline = time.monotonic() + START_LIMIT
    with _explained(home):
        make_private(home.folder)
        if home.shares_folder:
            make_private(home.socket.parent)
        for name in ("start.lock", "server.lock", "valkey.log", "valkey.pid"):
            check_kind(home.folder / name)
        check_kind(home.socket, stat.S_IFSOCK)
        with _locked(home.folder / "start.lock", deadline):
            if not (_answers(home.socket) or _former_answers(home, deadline)):
                home.socket.unlink(missing_ok=True)
                _start(home, deadline)


def ensure_listening(home: Home) -> None:
    """Return when something listens on the socket of `home`; start the server if nothing does.

    This does not check whether the server answers: the code that talks to it has its own time limit.

    Raises PrivateServerError when it cannot be started, or is not this user's.
    """
    check(home)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(home.socket))
        except TimeoutError:
            return  # its backlog is full, so it runs
        except OSError:
            ensure(home)
        else:
            check_peer(connection, home.socket)


def check(home: Home) -> None:
    """Return if this user has made the socket of `home`, and its folder is private. Called before each connection.

    Raises PrivateServerError.
    """
    with _explained(home):
        check_private(home.socket.parent)
        check_kind(home.socket, stat.S_IFSOCK)


@contextlib.contextmanager
def _explained(home: Home) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(home.folder, error) from error


@contextlib.contextmanager
def _locked(path: Path, deadline: float) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _await(lambda: _try_lock(handle), deadline):
            raise PrivateServerError(
                f'Another process has been starting the private Valkey in "{path.parent}" for {START_LIMIT:g} s.',
                hint=f"see {path.parent / 'valkey.log'}",
            )
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _former_answers(home: Home, deadline: float) -> bool:
    """Wait for a server that has the data open: return True if it answers, False if no server has the data open.

    A server whose socket is missing is asked to end, because nobody can reach it.
    """
    handle = os.open(home.folder / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if _try_lock(handle):
            return False
        if not home.socket.exists():
            _end_former(home)
        if not _await(lambda: _answers(home.socket) or _try_lock(handle), deadline):
            raise PrivateServerError(
                f'The private Valkey (process {_pid(home)}) holds "{home.folder}" and does not answer.',
                hint=f"end it: kill -KILL {_pid(home)}",
            )
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _end_former(home: Home) -> None:
    pid = _pid(home)
    with contextlib.suppress(OSError, ValueError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes() if sys.platform == "linux" else b"server"
        if b"server" in words:  # the process id may belong to another process by now
            os.kill(int(pid), signal.SIGTERM)


def _pid(home: Home) -> str:
    try:
        return (home.folder / "valkey.pid").read_text().strip()
    except OSError:
        return "unknown"


def _start(home: Home, deadline: float) -> None:
    """Start keeper and server, both detached from this process, and wait for an answer."""
    log = home.folder / "valkey.log"
    keeper = Path(__file__).with_name("keeper.py")
    command = [_python(), "-I", "-S", str(keeper), find_server(), str(home.folder), str(home.socket), str(home.linger)]
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        with open(log, "ab", opener=lambda path, _: os.open(path, flags, 0o600)) as output:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=START_LIMIT
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PrivateServerError(f"The private Valkey did not start: {error}.", hint=f"see {log}") from None
    lock = os.open(home.folder / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _await(lambda: _answers(home.socket) or _try_lock(lock), deadline)
    finally:
        os.close(lock)
    if not _answers(home.socket):
        raise did_not_start(home.folder, log)


def _python() -> str:
    """Return the Python interpreter: in a server that embeds Python, sys.executable is that server."""
    if "py" in Path(sys.executable or "").name:
        return sys.executable
    return str(Path(sys.prefix, "bin", "python3"))


def _await(done: Callable[[], bool], deadline: float) -> bool:
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _answers(path: Path) -> bool:
    """Whether a server on `path` answers PING. A server that still reads its data does not answer yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
