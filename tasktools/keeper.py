"""The process beside the private Valkey: starts it, and ends it some seconds after its last client has gone.

Run as a script by embedded.py, in isolated mode without site-packages (it stays small): standard library only.

    python -I -S keeper.py SERVER FOLDER SOCKET LINGER

It goes to the background at once; the lock that it takes first tells the starter that it lives. The server inherits that
lock, and on Linux it is ended with its keeper; elsewhere the next start finds it by the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from typing import BinaryIO, NoReturn

PERIOD = 0.5  # seconds between two looks at the clients
STOP_LIMIT = 10  # seconds that a server may take to end
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def main(server: str, folder: str, path: str, linger: float) -> None:
    os.chdir(folder)
    os.umask(0o077)  # what is queued is nobody else's to read
    lock = os.open("server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.set_inheritable(lock, True)
    process = subprocess.Popen(command(server, folder, path), pass_fds=[lock], preexec_fn=end_with_parent)
    with open("valkey.pid", "w") as file:
        file.write(str(process.pid))
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        keep(process, path, linger)
    finally:
        stop(process)


def command(server: str, folder: str, path: str) -> list[str]:
    """Return the server's command line.

    appendfsync no: each write goes to the kernel before it is answered, which a SIGKILL cannot take back. With everysec
    the server puts writes off while a sync runs, and a SIGKILL would lose them.
    """
    options = {
        "port": "0",
        "unixsocket": path,
        "unixsocketperm": "600",
        "dir": folder,
        "appendonly": "yes",
        "appendfsync": "no",
        "save": "",
        "daemonize": "no",
        "logfile": "",
        "loglevel": "warning",
        "maxmemory-policy": "noeviction",
    }
    return [server, *(word for name, value in options.items() for word in (f"--{name}", value))]


def end_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def keep(process: subprocess.Popen[bytes], path: str, linger: float) -> None:
    """Watch the clients; return when the server has been told to end or has ended by itself."""
    connection: BinaryIO | None = None
    last_used = time.monotonic()
    mark = 0
    while process.poll() is None:
        time.sleep(min(PERIOD, max(linger / 4, 0.05)) if mark else 0.01)
        before, mark = mark, inode(path)
        if before and mark != before:
            return  # the socket has gone, with or without its folder: nobody can reach the server any more
        try:
            connection = connection or connect(path)
            used = clients(connection) > 1
        except OSError:
            connection, used = None, True
        if used:
            last_used = time.monotonic()
        elif time.monotonic() - last_used >= linger and connection and end(process, connection, path):
            return


def inode(path: str) -> int:
    """Return the number of the file, 0 if there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def end(process: subprocess.Popen[bytes], connection: BinaryIO, path: str) -> bool:
    """End the server unless somebody starts one or has just come: nobody may be cut off.

    The socket is moved out of sight first; who connected before is then seen among the clients, who comes later starts
    anew and waits for the lock.
    """
    start = os.open("start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(start, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(start)
        return False
    try:
        os.rename(path, path + ".ending")
        if clients(connection) > 1 or clients(connection) > 1:
            os.rename(path + ".ending", path)
            return False
        stop(process)
        return True
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path + ".ending")
        os.close(start)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server; one that does not is killed: its data is in the kernel's hands already."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def connect(path: str) -> BinaryIO:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.connect(path)
    return connection.makefile("rwb", buffering=0)  # type: ignore[return-value]


def clients(connection: BinaryIO) -> int:
    """Return how many clients the server has, this one included; at least 2 while it still reads its data."""
    connection.write(b"INFO clients\r\n")
    header = line(connection)
    if header.startswith(b"-"):
        return 2
    body = b""
    while len(body) < int(header[1:]) + 2:  # a bulk string: $LENGTH, then so many bytes and a line end
        body += connection.read(65536) or hung_up()
    return int(body.split(b"connected_clients:", 1)[1].split(b"\r\n", 1)[0])


def line(connection: BinaryIO) -> bytes:
    found = b""
    while not found.endswith(b"\r\n"):
        found += connection.read(1) or hung_up()
    return found


def hung_up() -> NoReturn:
    raise ConnectionError("the server closed the connection")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
