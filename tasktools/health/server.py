"""A small HTTP server for probes. It never keeps the process waiting, nor does it keep it alive.

It reads a request line and headers, up to a size and for a time, and answers GET and HEAD. Nothing that was sent is in an answer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

#: The largest request, in bytes, and how long it may take to read it and to send the answer, in seconds.
LARGEST = 8192
LIMIT = 2.0

#: How much is read after the answer, in bytes, and for how long, in seconds: the sender of more may miss the answer, and nobody
#: can have the server read at full speed for long.
REST = 256 * 1024
REST_LIMIT = 0.2

#: How many requests are answered at the same time. For a further one, another is given up: the oldest that has its answer, else
#: the oldest that is still being read. A slow client must not make a probe fail.
MOST = 8

#: How long to wait until that one has ended, in seconds.
_MAKES_ROOM = 0.5

#: How often to try to listen while another process has the address, in seconds.
AGAIN = 0.2

_WORDS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error"}
_WORDS |= {501: "Not Implemented", 503: "Service Unavailable"}


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    type: str = "text/plain; charset=utf-8"

    def head(self) -> bytes:
        """Return the first line and the headers."""
        lines = [
            f"HTTP/1.1 {self.status} {_WORDS[self.status]}",
            f"Content-Type: {self.type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            "Connection: close",
            *(["Allow: GET, HEAD"] if self.status == 405 else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode()


Routes = Mapping[str, Callable[[], Reply]]


class Server:
    """Answers in daemon threads what `routes` say; `listen` returns the socket, and is called again while it raises."""

    def __init__(self, routes: Routes, listener: socket.socket | None, listen: Callable[[], socket.socket]) -> None:
        self.routes = routes
        self._listener = listener
        self._listen = listen
        self._is_closed = False
        self._free = threading.BoundedSemaphore(MOST)
        #: Who has not closed after the answer, and whose request is being read, the oldest first.
        self._answered: dict[socket.socket, None] = {}
        self._reading: dict[socket.socket, None] = {}
        self._changes = threading.Lock()

    def start(self) -> None:
        # A pool's process must not keep the address when this one has gone.
        os.register_at_fork(after_in_child=self.close)
        threading.Thread(target=self._serve, daemon=True, name="health").start()

    def close(self) -> None:
        """Let another process have the address."""
        self._is_closed = True
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.close()

    def stop(self) -> None:
        """Close it from another thread: a thread that waits in accept() would keep the address."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        self.close()

    def _serve(self) -> None:
        while not self._is_closed:
            try:
                self._listener = self._listener or self._listen()
                caller, _ = self._listener.accept()
            except Exception:  # noqa: BLE001 - the address is in use, or no more files may be open: later it may work
                time.sleep(AGAIN)
                continue
            if not self._has_room():
                caller.close()
                continue
            threading.Thread(target=self._attend, args=(caller,), daemon=True, name="health request").start()

    def _has_room(self) -> bool:
        if self._free.acquire(blocking=False):
            return True
        with self._changes:
            some = self._answered or self._reading
            oldest = next(iter(some), None)
            if oldest is None:
                return False
            del some[oldest]
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        return self._free.acquire(timeout=_MAKES_ROOM)

    def _attend(self, caller: socket.socket) -> None:
        try:
            with caller, contextlib.suppress(OSError, ValueError):
                self._answer(caller, time.monotonic() + LIMIT)
        finally:
            self._free.release()

    def _answer(self, caller: socket.socket, until: float) -> None:
        with self._may_be_given_up(caller, self._reading):
            line = _request_line(caller, until)
        reply, has_body = self._reply(line)
        caller.settimeout(max(0.1, until - time.monotonic()))
        caller.sendall(reply.head() + (reply.body if has_body else b""))
        caller.shutdown(socket.SHUT_WR)
        with self._may_be_given_up(caller, self._answered):
            _read_the_rest(caller)

    @contextlib.contextmanager
    def _may_be_given_up(self, caller: socket.socket, some: dict[socket.socket, None]) -> Iterator[None]:
        with self._changes:
            some[caller] = None
        try:
            yield
        finally:
            with self._changes:
                some.pop(caller, None)

    def _reply(self, line: bytes) -> tuple[Reply, bool]:
        words = line.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return Reply(400, b"This is no HTTP request, or it is too long.\n"), True
        route = self.routes.get(words[1].partition(b"?")[0].decode("latin-1"))
        if words[0] not in (b"GET", b"HEAD"):
            return Reply(405, b"Only GET and HEAD.\n"), True
        has_body = words[0] == b"GET"
        if route is None:
            return Reply(404, f"There is {', '.join(self.routes)}.\n".encode()), has_body
        try:
            return route(), has_body
        except Exception as error:  # noqa: BLE001 - whoever asks must get an answer
            return Reply(500, f"{type(error).__name__}\n".encode()), has_body


def _read_the_rest(caller: socket.socket) -> None:
    """Read what the caller still sends: if the socket is closed before that, he may get an error in place of the answer."""
    left, until = REST, time.monotonic() + REST_LIMIT
    while left > 0 and (seconds := until - time.monotonic()) > 0:
        caller.settimeout(seconds)
        more = caller.recv(min(left, 8 * LARGEST))
        if not more:
            return
        left -= len(more)


def _request_line(caller: socket.socket, until: float) -> bytes:
    """Read a request up to the end of its headers; return its first line, b"" if it is too long. Raises OSError."""
    read = b""
    while b"\r\n\r\n" not in read and b"\n\n" not in read:
        caller.settimeout(max(0.001, until - time.monotonic()))
        more = caller.recv(LARGEST)
        read += more
        if not more or len(read) > LARGEST:
            return b""
    return read.partition(b"\n")[0].rstrip(b"\r")
