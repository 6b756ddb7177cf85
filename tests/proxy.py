"""A proxy in front of a server, whose connections can be cut without a word."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any


class Proxy:
    """Passes on what is sent to its port. Use it as a context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[_Pair] = []

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._pairs:
            each.close()

    def cut(self) -> None:
        """Drop from now on what present connections send. They stay open, and new ones work."""
        for each in self._pairs:
            each.is_cut = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                self._pairs.append(_Pair(caller, socket.create_connection(("127.0.0.1", self._target))))


class _Pair:
    def __init__(self, caller: socket.socket, server: socket.socket) -> None:
        self.is_cut = False
        self._ends = (caller, server)
        for source, sink in ((caller, server), (server, caller)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.is_cut:
                    sink.sendall(data)
        if not self.is_cut:
            self.close()

    def close(self) -> None:
        for each in self._ends:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
