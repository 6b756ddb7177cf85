from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.valkey import keeper
from tasktools.valkey.keeper import Seen, look

LINGER = 3.0


class Server:
    """A server that goes on until it is told to end."""

    def poll(self) -> None:
        return None


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
    """Have the keeper see what `told` yields, a look each PERIOD, and return after how many seconds it ended the server."""

    def next_of(told: Iterator[Seen | OSError]) -> Seen:
        seen = next(told)
        if isinstance(seen, OSError):
            raise seen
        return seen

    def run(told: Iterator[Seen | OSError], *, inodes: Iterator[int] | None = None) -> float:
        now = 0.0

        def sleep(seconds: float) -> None:
            nonlocal now
            now += seconds

        monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
        monkeypatch.setattr(keeper, "connect", lambda path: "connection")
        monkeypatch.setattr(keeper, "look", lambda connection: next_of(told))
        monkeypatch.setattr(keeper, "inode", lambda path: next(inodes) if inodes else 7)
        monkeypatch.setattr(keeper, "end", lambda *_: True)
        server: Any = Server()
        keeper.keep(server, "/s", LINGER)
        return now

    return run


def looks(*seen: Seen | OSError, then: Seen | OSError) -> Iterator[Seen | OSError]:
    yield from seen
    while True:
        yield then


def test_keep__ends_a_server_that_nobody_uses(watch: Callable[..., float]) -> None:
    assert LINGER <= watch(looks(then=Seen(clients=1, came=1))) < LINGER + 2 * keeper.PERIOD


def test_keep__clients_that_came_and_went_between_two_looks(watch: Callable[..., float]) -> None:
    """Eight commands, 2.7 s apart: none of them is there when the keeper looks."""
    came = [Seen(clients=1, came=1 + number) for number in range(9) for _ in range(5)]
    lasted = len(came) * keeper.PERIOD
    assert watch(looks(*came, then=came[-1])) >= lasted + LINGER - 5 * keeper.PERIOD


def test_keep__a_client_that_stays(watch: Callable[..., float]) -> None:
    assert (
        watch(looks(*[Seen(clients=2, came=2)] * 40, then=Seen(clients=1, came=2))) >= 40 * keeper.PERIOD + LINGER - 1
    )


def test_keep__what_could_not_be_written_is_not_thrown_away(watch: Callable[..., float]) -> None:
    unwritten, written = Seen(clients=1, came=2, is_written=False), Seen(clients=1, came=2)
    assert watch(looks(*[unwritten] * 100, then=written)) >= 100 * keeper.PERIOD + LINGER - 1


def numbers(*found: int) -> Iterator[int]:
    yield from found
    while True:
        yield 0


def test_keep__a_server_whose_socket_has_gone(watch: Callable[..., float]) -> None:
    busy = Seen(clients=2, came=2)
    assert watch(looks(then=busy), inodes=numbers(7, 7, 7)) < LINGER


def test_keep__a_server_whose_socket_has_gone_and_that_could_not_write(watch: Callable[..., float]) -> None:
    unwritten, written = Seen(clients=2, came=2, is_written=False), Seen(clients=2, came=2)
    assert watch(looks(*[unwritten] * 20, then=written), inodes=numbers(7, 7, 7)) >= 19 * keeper.PERIOD


def test_keep__a_look_that_fails_takes_nothing_for_written(watch: Callable[..., float]) -> None:
    """INFO may take longer than is waited for while the disk is full."""
    unwritten, written = Seen(clients=2, came=2, is_written=False), Seen(clients=2, came=2)
    told = looks(unwritten, *[TimeoutError()] * 20, then=written)
    assert watch(told, inodes=numbers(7, 7, 7)) >= 20 * keeper.PERIOD


def test_keep__a_server_whose_socket_has_gone_and_that_never_answered(watch: Callable[..., float]) -> None:
    assert watch(looks(then=ConnectionRefusedError()), inodes=numbers(7, 7, 7)) < LINGER


@pytest.mark.parametrize("looked", [0, 1])
def test_end__a_look_that_fails_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked: int) -> None:
    monkeypatch.chdir(tmp_path)
    socket = tmp_path / "valkey.sock"
    socket.touch()
    told = iter([Seen(clients=1, came=2)] * looked)

    def look(connection: Any) -> Seen:
        return next(told, None) or hang()

    def hang() -> Any:
        raise TimeoutError

    monkeypatch.setattr(keeper, "look", look)
    stopped: list[Any] = []
    monkeypatch.setattr(keeper, "stop", stopped.append)
    server: Any = Server()
    connection: Any = None
    assert not keeper.end(server, connection, str(socket), came=2)
    assert (stopped, socket.exists()) == ([], True)


class Answering:
    """What a server answers to INFO, in pieces."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def write(self, command: bytes) -> None:
        assert command == b"INFO\r\n"

    def read(self, size: int) -> bytes:
        piece, self.answer = self.answer[: min(size, 7)], self.answer[min(size, 7) :]
        return piece


def told(body: bytes) -> Any:
    return Answering(b"$%d\r\n%s\r\n" % (len(body), body))


def test_look__reads_what_it_counts() -> None:
    body = b"# Clients\r\nconnected_clients:3\r\n# Stats\r\ntotal_connections_received:17\r\n"
    assert look(told(body)) == Seen(clients=3, came=17, is_written=True)
    assert look(told(body + b"aof_last_write_status:err\r\n")) == Seen(clients=3, came=17, is_written=False)
    assert look(told(body + b"aof_last_write_status:ok\r\n")).is_written


def test_look__a_server_that_does_not_say_counts_as_used() -> None:
    answering: Any = Answering(b"-LOADING it reads its data\r\n")
    assert look(answering).is_used(0)


def test_look__a_server_that_hangs_up() -> None:
    answering: Any = Answering(b"$100\r\nshort")
    with pytest.raises(ConnectionError):
        look(answering)
