from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from tasktools.health import server as under_test
from tasktools.health.server import LARGEST, MOST, REST, REST_LIMIT, Reply, Server
from tests.support import wait_for


def broken() -> Reply:
    raise ValueError("a secret")


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Start a server with further routes; return its port."""
    with ExitStack() as stack:

        def begin(**more: Callable[[], Reply]) -> int:
            listener = socket.create_server(("127.0.0.1", 0))
            routes = {"/livez": lambda: Reply(200, b"ok\n"), "/broken": broken}
            server = Server(
                {**routes, **{f"/{name}": route for name, route in more.items()}}, listener, lambda: listener
            )
            stack.callback(server.stop)
            server.start()
            return int(listener.getsockname()[1])

        yield begin


def sent(port: int, request: bytes, limit: float = 5.0) -> bytes:
    """Return the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=limit) as caller:
        caller.sendall(request)
        return b"".join(iter(lambda: caller.recv(65536), b""))


def test_get__has_status_length_and_text(start: Callable[..., int]) -> None:
    head, _, body = sent(start(), b"GET /livez?verbose HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {"Content-Type: text/plain; charset=utf-8", "Content-Length: 3", "Connection: close"} <= set(lines)
    assert body == b"ok\n"


def test_head__has_the_same_without_the_text(start: Callable[..., int]) -> None:
    port = start()
    get, head = (sent(port, method + b" /livez HTTP/1.1\r\n\r\n") for method in (b"GET", b"HEAD"))
    assert get == head + b"ok\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /livez HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /secret HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /../livez HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /livez\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", b"400"),
        (b"GET /\xff HTTP/1.0\n\n", b"404"),
    ],
)
def test_request__that_is_wrong(start: Callable[..., int], request_: bytes, status: bytes) -> None:
    answer = sent(start(), request_)
    assert answer.split()[1] == status
    assert b"secret" not in answer
    assert b"\xff" not in answer


def test_request__that_is_too_long(start: Callable[..., int]) -> None:
    port = start()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
        caller.sendall(b"GET /livez HTTP/1.1\r\nX: " + LARGEST * b"x")
        assert caller.recv(65536).split()[1] == b"400"
    assert sent(port, b"GET /livez HTTP/1.1\r\n\r\n").endswith(b"ok\n")


@pytest.mark.parametrize("begin", [b"GET /", b"GET /livez HTTP/1.1\r\nX: ", b"POST /livez HTTP/1.1\r\n\r\n"])
def test_request__that_is_big_gets_its_answer(start: Callable[..., int], begin: bytes) -> None:
    """A server that closes while the other side still sends has it fail before it reads the answer."""
    answer = sent(start(), begin + 200_000 * b"x" + b" HTTP/1.1\r\n\r\n")
    assert answer.split()[1] in (b"400", b"405")


class Endless:
    """A caller that always sends more."""

    def __init__(self) -> None:
        self.read = 0

    def settimeout(self, seconds: float) -> None:
        self.seconds = seconds

    def recv(self, size: int) -> bytes:
        self.read += size
        return size * b"x"


def test_rest__is_read_up_to_a_size() -> None:
    caller: Any = Endless()
    under_test._read_the_rest(caller)
    assert caller.read == REST
    assert 0 < caller.seconds <= REST_LIMIT


def test_rest__is_read_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    caller: Any = Endless()
    clock = iter((0.0, 0.0, REST_LIMIT / 2, REST_LIMIT))
    # The server of another test may still end, and sleeps then.
    monkeypatch.setattr(under_test, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=time.sleep))
    under_test._read_the_rest(caller)
    assert caller.read == 16 * LARGEST


def test_room__who_has_the_answer_is_given_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow request that came before it goes on."""
    monkeypatch.setattr(under_test, "_MAKES_ROOM", 0)
    server = Server({}, None, lambda: socket.create_server(("127.0.0.1", 0)))
    server._free = threading.BoundedSemaphore(1)
    assert server._has_room()
    slow, answered = Mock(), Mock()
    given_up: list[str] = []
    slow.shutdown = lambda how: given_up.append("slow")
    answered.shutdown = lambda how: given_up.append("answered")
    server._reading, server._answered = {slow: None}, {answered: None}
    for _ in range(3):
        assert not server._has_room()
    assert given_up == ["answered", "slow"]


def test_request__that_is_never_closed_makes_room(start: Callable[..., int]) -> None:
    port = start()
    with ExitStack() as stack:
        for _ in range(MOST + 3):
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            caller.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            assert b"".join(iter(lambda: caller.recv(65536), b"")).endswith(b"ok\n")  # noqa: B023
        assert sent(port, b"GET /livez HTTP/1.1\r\n\r\n").endswith(b"ok\n")


def test_request__that_never_ends_is_dropped(start: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "LIMIT", 0.1)
    assert sent(start(), b"GET /livez HTTP/1.1\r\n") == b""


def test_error__of_a_route_is_an_answer_without_its_text(start: Callable[..., int]) -> None:
    answer = sent(start(), b"GET /broken HTTP/1.1\r\n\r\n")
    assert answer.split()[1] == b"500"
    assert answer.endswith(b"ValueError\n")


def test_requests__beyond_the_most_are_closed_and_the_rest_answered(start: Callable[..., int]) -> None:
    go, inside = threading.Event(), threading.Semaphore(0)

    def slow() -> Reply:
        inside.release()
        go.wait(60)
        return Reply(200, b"slow\n")

    port = start(slow=slow)
    with ExitStack() as stack:
        callers = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in range(MOST)]
        for each in callers:
            each.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        for _ in callers:
            assert inside.acquire(timeout=60)
        assert sent(port, b"") == b""
        go.set()
        assert all(each.recv(65536) for each in callers)
    wait_for(lambda: sent(port, b"GET /livez HTTP/1.1\r\n\r\n").endswith(b"ok\n"))


def test_requests__that_never_end_do_not_keep_others_out(start: Callable[..., int]) -> None:
    port = start()
    with ExitStack() as stack:
        for _ in range(MOST + 3):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            idle.sendall(b"GET ")
        assert all(sent(port, b"GET /livez HTTP/1.1\r\n\r\n").endswith(b"ok\n") for _ in range(20))


def test_address__that_another_process_has_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "AGAIN", 0.01)
    other = socket.create_server(("127.0.0.1", 0))
    port = other.getsockname()[1]
    server = Server({"/livez": lambda: Reply(200, b"ok\n")}, None, lambda: socket.create_server(("127.0.0.1", port)))
    server.start()
    other.close()

    def answers() -> bool:
        try:
            return sent(port, b"GET /livez HTTP/1.1\r\n\r\n").endswith(b"ok\n")
        except OSError:
            return False

    wait_for(answers)
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        assert server._listener is None


def test_fork__does_not_keep_the_address(start: Callable[..., int]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server({}, listener, lambda: listener)
    server.start()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"closed" if listener.fileno() == -1 else b"open")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"closed"
    os.close(reading)
    os.close(writing)
    assert listener.fileno() != -1
    server.stop()
