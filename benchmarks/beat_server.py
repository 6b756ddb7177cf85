"""A Valkey of the benchmark's own on a TCP port, which can be paused, killed and started again; and a set behind Sentinel."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from redis.sentinel import Sentinel

from benchmarks.common import await_
from tasktools.valkey.program import find_server

#: The name by which Sentinel knows the servers.
MASTER = "benchmark"

#: After how many milliseconds without an answer Sentinel gives a master up.
GIVEN_UP = 2000


class Server:
    """One server. What it has answered is in its file, so that SIGKILL loses nothing of it.

    With appendfsync "no" the server still writes before it answers, and a write never waits for the disk: only the end of
    the whole machine would lose data.
    """

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self.words = words
        #: When it could not answer: begin and end, by time.time().
        self.away: list[tuple[float, float]] = []
        self._gone = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, limit: float | None = 5.0) -> redis.Redis:
        """Return a client; it waits at most `limit` seconds for an answer."""
        return redis.Redis(port=self.port, socket_timeout=limit, socket_connect_timeout=limit)

    def begin(self) -> None:
        """Start the process, and return when it answers."""
        fixed = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "no"]
        own = ["--port", str(self.port), "--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        self._process = subprocess.Popen(
            [find_server(), *fixed, *own, *self.words], stdin=subprocess.DEVNULL, start_new_session=True
        )
        await_(self.answers, "the server to answer")

    def answers(self) -> bool:
        """Whether it answers, with all its data read."""
        with contextlib.suppress(redis.RedisError), self.client(0.5) as client:
            return bool(client.ping())
        return False

    @property
    def is_away(self) -> bool:
        return bool(self._gone)

    def pause(self) -> None:
        """Stop the process; its connections stay."""
        self._gone = time.time()
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)
        self._back()

    def hold(self, seconds: float) -> None:
        """Have the server answer no command for some seconds, by CLIENT PAUSE; call `released` when they are over."""
        with self.client() as client:
            client.client_pause(int(seconds * 1000), all=True)
        self._gone = time.time()

    def released(self) -> None:
        self._back()

    def kill(self) -> None:
        self._gone = time.time()
        self.end()

    def start(self) -> None:
        """Start the server again, on the same port and with its data."""
        self.begin()
        self._back()

    def _back(self) -> None:
        self.away.append((self._gone, time.time()))
        self._gone = 0.0

    def end(self) -> None:
        """End the process, also a paused one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Start a server for as long as the context lasts."""
    made = Server(folder)
    try:
        made.begin()
        yield made
    finally:
        made.end()


class Guarded:
    """A master, a replica, and three processes of Sentinel."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        first = Server(folder / "first")
        self.servers = [first, Server(folder / "second", "--replicaof", "127.0.0.1", str(first.port))]
        self._sentinels: list[subprocess.Popen[bytes]] = []
        self.ports = [_free_port() for _ in range(3)]

    def begin(self) -> None:
        for each in self.servers:
            each.begin()
        for port in self.ports:
            file = self.folder / f"{port}.conf"
            file.write_text(
                f'port {port}\nbind 127.0.0.1\ndir "{self.folder}"\nlogfile "{self.folder / str(port)}.log"\n'
                f"sentinel monitor {MASTER} 127.0.0.1 {self.servers[0].port} 2\n"
                f"sentinel down-after-milliseconds {MASTER} {GIVEN_UP}\nsentinel failover-timeout {MASTER} 10000\n"
            )
            command = [find_server(), str(file), "--sentinel"]
            self._sentinels.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
            )
        await_(self._know_each_other, "the three of Sentinel to know the replica and each other")

    def _know_each_other(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            states = [self._sentinel(port).sentinel_master(MASTER) for port in self.ports]
            return all(each["num-other-sentinels"] == 2 and each["num-slaves"] == 1 for each in states)
        return False

    @staticmethod
    def _sentinel(port: int) -> redis.Redis:
        return redis.Redis(port=port, socket_timeout=1.0, decode_responses=True)

    @property
    def url(self) -> str:
        return ";".join(f"sentinel://127.0.0.1:{port}/0" for port in self.ports)

    def client(self, limit: float | None = 5.0) -> redis.Redis:
        """Return a client of whichever server is the master."""
        asked = Sentinel([("127.0.0.1", port) for port in self.ports], socket_timeout=1.0)
        return asked.master_for(MASTER, socket_timeout=limit)

    def kill_master(self) -> None:
        self.servers[0].kill()

    def other_serves(self) -> bool:
        """Whether the former replica is the master, and a client finds it."""
        with contextlib.suppress(redis.RedisError):
            found = self._sentinel(self.ports[0]).sentinel_get_master_addr_by_name(MASTER)
            return found == ("127.0.0.1", self.servers[1].port) and self.servers[1].client(0.5).role()[0] == b"master"
        return False

    def end(self) -> None:
        for process in self._sentinels:
            process.kill()
            process.wait()
        for each in self.servers:
            each.end()


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """Start servers behind Sentinel for as long as the context lasts."""
    made = Guarded(folder)
    try:
        made.begin()
        yield made
    finally:
        made.end()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
