"""The process beside the private Valkey: it starts the server, and stops it some seconds after its last client has gone.

server.py runs it as a script, in isolated mode and without site-packages, to keep it small: standard library only.

    python -I -S keeper.py SERVER FOLDER SOCKET LINGER

It goes to the background at once. It takes a lock first, which shows the starter that it runs. The server inherits that
lock. On Linux, the server stops together with its keeper; on other systems, the next start finds the server by the lock.
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
from typing import BinaryIO, NamedTuple, NoReturn

PERIOD = 0.5  # seconds between two looks at the clients
STOP_LIMIT = 10  # seconds that a server may take to end
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def main(server: str, folder: str, path: str, linger: float) -> None:
    os.chdir(folder)
    os.umask(0o077)  # nobody else may read what is queued
    lock = os.open("server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.set_inheritable(lock, True)
    # Python ignores SIGXFSZ, and the server must do so too: at a file size limit, a write fails and nothing is lost.
    process = subprocess.Popen(
        command(server, folder, path), pass_fds=[lock], preexec_fn=end_with_parent, restore_signals=False
    )
    with open("valkey.pid", "w") as file:
        file.write(str(process.pid))
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        keep(process, path, linger)
    finally:
        stop(process)
        with contextlib.suppress(OSError):  # the folder may have gone; its process id may soon be another's
            os.unlink("valkey.pid")


def command(server: str, folder: str, path: str) -> list[str]:
    """Return the server's command line.

    appendfsync no: each write goes to the kernel before it is answered, so a SIGKILL does not lose it. With everysec,
    the server delays writes while a sync runs, and a SIGKILL would lose them.
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
    """Watch the clients; return when the server must stop or has ended by itself.

    A server that could not write what it has answered keeps running: it tries again each second, and its end would lose data.
    """
    connection: BinaryIO | None = None
    last_used = time.monotonic()
    mark = came = 0
    seen = Seen()
    while process.poll() is None:
        time.sleep(min(PERIOD, max(linger / 4, 0.05)) if mark else 0.01)
        mark = mark or inode(path)
        try:
            connection = connection or connect(path)
            seen = look(connection)
        except OSError:
            # For example, it takes long to answer while the disk is full: whether everything is written is still known.
            connection, seen = None, Seen(is_written=seen.is_written)
        if mark and inode(path) != mark and seen.is_written:
            return  # the socket has gone, perhaps with its folder: nobody can reach the server any more
        if seen.is_used(came) or not seen.is_written:
            last_used, came = time.monotonic(), seen.came
        elif time.monotonic() - last_used >= linger and connection and end(process, connection, path, came):
            return


def inode(path: str) -> int:
    """Return the inode number of the file, 0 if there is no file."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def end(process: subprocess.Popen[bytes], connection: BinaryIO, path: str, came: int) -> bool:
    """Stop the server unless somebody starts one or has just connected: no client may be cut off.

    First rename the socket. Clients that connected before are then counted; a later client starts a server again and waits
    for the lock. It looks twice: at the first look, a connection may have been made and not yet accepted.
    """
    start = os.open("start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(start, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(start)
        return False
    try:
        os.rename(path, path + ".ending")
        if not is_free(connection, came):
            os.rename(path + ".ending", path)
            return False
        stop(process)
        return True
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path + ".ending")
        os.close(start)


def is_free(connection: BinaryIO, came: int) -> bool:
    """Whether two looks show no client and no unwritten data. A server that does not answer is not free."""
    try:
        looks = look(connection), look(connection)
    except OSError:
        return False
    return not any(seen.is_used(came) or not seen.is_written for seen in looks)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server, and kill it if it does not end: its data is already in the kernel."""
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


class Seen(NamedTuple):
    """What the server reports about itself."""

    #: Its clients, including the keeper; 2 if nobody knows, for example while the server reads its data.
    clients: int = 2
    #: How many clients have come since it started, including those that left between two looks.
    came: int = 0
    #: Whether everything that it has answered has been written to its file.
    is_written: bool = True

    def is_used(self, came: int) -> bool:
        """Whether there is a client, or was one since `came` was counted."""
        return self.clients > 1 or self.came != came


def look(connection: BinaryIO) -> Seen:
    connection.write(b"INFO\r\n")
    header = line(connection)
    if header.startswith(b"-"):
        return Seen()
    body = b""
    while len(body) < int(header[1:]) + 2:  # a bulk string: $LENGTH, then so many bytes and a line end
        body += connection.read(65536) or hung_up()
    fields = dict(each.split(b":", 1) for each in body.split(b"\r\n") if b":" in each)
    return Seen(
        clients=int(fields[b"connected_clients"]),
        came=int(fields[b"total_connections_received"]),
        is_written=fields.get(b"aof_last_write_status", b"ok") == b"ok",
    )


def line(connection: BinaryIO) -> bytes:
    found = b""
    while not found.endswith(b"\r\n"):
        found += connection.read(1) or hung_up()
    return found


def hung_up() -> NoReturn:
    raise ConnectionError("the server closed the connection")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
