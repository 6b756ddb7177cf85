"""Where the answers are given: what was typed -> a socket that listens."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass

from tasktools.exceptions import UsageError

LOOPBACK = "127.0.0.1"

#: How many connections may wait.
BACKLOG = 16

_FORMS = "give a port (8001), an address and a port (0.0.0.0:8001, [::]:8001), or unix:/run/site/worker.sock"


@dataclass(frozen=True)
class Address:
    """A port of an address, or the path of a socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def of(cls, word: str) -> Address:
        """Read [ADDR:]PORT or unix:PATH. Raises UsageError."""
        kind, colon, path = word.partition(":")
        if kind == "unix" and colon:
            if not path or "\0" in path or len(os.fsencode(path)) > 100:
                raise UsageError(f'--health "{word}" names no file for a socket, or its path is too long.', hint=_FORMS)
            return cls(path=os.path.abspath(path))
        host, colon, port = word.rpartition(":")
        if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536) or (colon and not host):
            raise UsageError(f'--health "{word}" is neither a port nor an address with a port.', hint=_FORMS)
        return cls(host=host.strip("[]") or LOOPBACK, port=int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix:{self.path}" if self.path else f"{host}:{self.port}"

    def listen(self) -> socket.socket:
        """Return a socket that listens. Raises UsageError if that is not possible."""
        try:
            return _unix(self.path) if self.path else _tcp(self.host, self.port)
        except (OSError, ValueError) as error:  # ValueError: the encoding of a name that cannot be one, as ".."
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            why = "somebody listens there already" if taken else _why(error)
            hint = "stop it, or give another port or path; each worker and each beat needs its own" if taken else _FORMS
            raise UsageError(f'--health "{self}" cannot be opened: {why}.', hint=hint) from error


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "that is no name of a host"


def _tcp(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, where = found[0]
    return socket.create_server(where[:2], family=family, backlog=BACKLOG)


def _unix(path: str) -> socket.socket:
    """Listen on a path. What a process that was killed has left there is removed; a socket in use is not."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is another file")
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(1)
            try:
                caller.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            else:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
