"""A broker that refuses, is silent, or breaks off: enqueue ends soon and says what it knows."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasktools.valkey import server
from tests.support import Site, refusing_port, silent_port

#: The broker is given 2 s; what remains is the start of a process on a busy machine. The limit of kombu is much longer, or none.
WITHIN = 40.0


def enqueue(site: Site, *words: str) -> tuple[int, str, float]:
    began = time.monotonic()
    done = site.manage("enqueue", "add", "2", "2", *words)
    assert done.stdout == ""
    return done.returncode, done.stderr, time.monotonic() - began


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_refusing__nothing_was_sent(site: Site, scheme: str) -> None:
    port = refusing_port()
    site.minimal(settings=f"CELERY_BROKER_URL = '{scheme}://me:secret@127.0.0.1:{port}//'")
    code, said, took = enqueue(site)
    assert code == 69
    assert said.startswith(f'The broker "{scheme}://me:**@127.0.0.1:{port}//" cannot be reached: ')
    assert said.splitlines()[0].endswith(" Nothing was sent.")
    assert said.splitlines()[1].startswith("Hint: start it, or fix its address in the settings")
    assert "secret" not in said
    assert took < WITHIN


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_silent__nothing_was_sent(site: Site, scheme: str) -> None:
    with silent_port() as port:
        site.minimal(settings=f"CELERY_BROKER_URL = '{scheme}://127.0.0.1:{port}//'")
        code, said, took = enqueue(site)
    assert code == 69
    assert said.startswith(f'The broker "{scheme}://127.0.0.1:{port}//" ')
    assert said.splitlines()[0].endswith(" Nothing was sent.")
    assert took < WITHIN


def test_no_such_host__nothing_was_sent(site: Site) -> None:
    site.minimal(settings="CELERY_BROKER_URL = 'redis://no-such-host.invalid:6379/0'")
    code, said, took = enqueue(site)
    assert (code, said.splitlines()[0].endswith(" Nothing was sent.")) == (69, True)
    assert took < WITHIN


@contextlib.contextmanager
def redis_that_swallows(command: bytes, folder: Path) -> Iterator[int]:
    """A TCP door to a real server, which falls silent for good when `command` goes through it."""
    home = server.Home(folder=folder, linger=5)
    server.ensure(home)
    over = threading.Event()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(65536):
                if command in received.upper():
                    return
                target.sendall(received)

    def serve(connection: socket.socket) -> None:
        with connection, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(home.socket))
            threading.Thread(target=pump, args=(server, connection), daemon=True).start()
            pump(connection, server)
            over.wait(WITHIN * 2)
            server.shutdown(socket.SHUT_RDWR)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
    over.set()


def test_breaking_off__whether_it_was_sent_cannot_be_known(site: Site) -> None:
    with redis_that_swallows(b"LPUSH", site.data) as port:
        site.minimal(settings=f"CELERY_BROKER_URL = 'redis://127.0.0.1:{port}/0'")
        code, said, took = enqueue(site, "--task-id", "known-id")
    assert code == 69
    assert "Whether shop.tasks.add was sent cannot be known." in said
    assert "manage.py taskresult known-id" in said
    assert took < WITHIN


def test_result_backend_down__the_task_is_sent_and_the_wait_says_so(site: Site) -> None:
    port = refusing_port()
    site.minimal(settings=f"CELERY_RESULT_BACKEND = 'redis://:secret@127.0.0.1:{port}/0'")
    assert site.manage("enqueue", "add", "2", "2").returncode == 0
    began = time.monotonic()
    asked = site.manage("taskresult", "some-id")
    assert time.monotonic() - began < WITHIN
    assert asked.returncode == 69
    assert asked.stderr.startswith(f'The result backend "redis://:**@127.0.0.1:{port}/0" ')


UNUSABLE = [
    ("nosuch://localhost", 'The broker "nosuch://localhost" is of no kind that kombu knows: '),
    ("pgmq://localhost", 'The broker "pgmq://localhost" '),
    ("mongodb://localhost", 'The broker "mongodb://localhost" needs a library that is not installed: '),
    ("http//:oops", 'The broker "http//:oops" '),
]


@pytest.mark.parametrize(("url", "sentence"), UNUSABLE, ids=[url for url, _ in UNUSABLE])
def test_url_that_cannot_be_used__is_named(site: Site, url: str, sentence: str) -> None:
    site.minimal()
    done = site.manage("enqueue", "add", "2", "2", env={"CELERY_BROKER_URL": url})
    assert done.stderr.startswith(sentence), done.stderr
    assert "Hint: " in done.stderr
    assert done.returncode in (2, 69)
    assert "Traceback" not in done.stderr
