"""A connection that breaks at any moment: nothing is sent twice, and what is said of it is true."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tasktools import conf
from tasktools.arguments.call import Call
from tasktools.brokers.transactions import Mark
from tasktools.exceptions import InDoubt, Unreachable
from tasktools.publishing.batch import Publisher, enqueue_many


class Proxy:
    """Stands between a client and the server's socket, and breaks the connection at a word of the client."""

    def __init__(self, path: Path, server: Path, *, word: bytes, forward: bool) -> None:
        """With `forward` the server still gets the word; its answer is lost."""
        self.word = word
        self.forward = forward
        self.server = server
        self.broken = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self.server))
                threading.Thread(target=self._upwards, args=(client, server), daemon=True).start()
                threading.Thread(target=self._downwards, args=(client, server), daemon=True).start()

    def _upwards(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client, server:
            while data := client.recv(65536):
                if self.word in data:
                    self.broken += 1
                    client.shutdown(socket.SHUT_WR)
                    if self.forward:
                        server.sendall(data)
                        server.shutdown(socket.SHUT_WR)
                        while server.recv(65536):
                            pass
                    return
                server.sendall(data)

    def _downwards(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)


@pytest.fixture
def server(app: Any) -> Path:
    """The socket of the private Valkey, which runs."""
    with app.connection_for_write() as connection:
        connection.default_channel.client.ping()
    return conf.data_dir() / "valkey.sock"


def through(path: Path, queue: str) -> Celery:
    made = Celery("made", broker=f"redis+socket://{path}", set_as_current=False)
    made.conf.task_default_queue = queue

    @made.task(name="shop.add", shared=False, ignore_result=True)
    def add(x: int) -> None:
        pass

    return made


@pytest.fixture
def queue(server: Path) -> Iterator[str]:
    name = f"unread-{uuid.uuid4()}"
    yield name
    with redis.Redis(unix_socket_path=str(server)) as client:
        client.delete(name)


CALLS = [Call(task="shop.add", args=(n,)) for n in range(10)]


@pytest.mark.parametrize("forward", [True, False], ids=["answer lost", "transaction lost"])
@pytest.mark.parametrize("word", [b"HSET", b"LPUSH"])
def test_connection_that_breaks__is_told_and_nothing_is_sent_twice(
    tmp_path: Path, server: Path, queue: str, word: bytes, forward: bool
) -> None:
    proxy = Proxy(tmp_path / "proxy", server, word=word, forward=forward)
    app = through(tmp_path / "proxy", queue)
    mark = f"mark-{queue}"
    with Publisher(app) as publisher, pytest.raises(InDoubt, match="broke off") as caught:
        publisher.send(CALLS, Mark(key=mark, values={"line": "10"}))
    proxy.close()
    app.close()
    assert caught.value.calls == 10
    assert proxy.broken == 1
    with redis.Redis(unix_socket_path=str(server), decode_responses=True) as client:
        length, marked = client.llen(queue), client.hgetall(mark)
        client.delete(mark)
    # As a whole or not at all, and the mark with it.
    assert (length, marked) in [(10, {"line": "10"}), (0, {})]
    assert length == 0 or forward


def test_server_that_is_gone__nothing_is_sent(tmp_path: Path) -> None:
    app = through(tmp_path / "nobody", "q")
    with pytest.raises(Unreachable, match="cannot be reached") as caught:
        next(enqueue_many(app, CALLS))
    assert not isinstance(caught.value, InDoubt)
    app.close()
