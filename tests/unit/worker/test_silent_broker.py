"""A stop that a silent broker holds up ends, whatever it waits for; a broker that answers leaves it to Celery."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import WorkerShutdown
from celery.worker import state

from tasktools.worker import silent_broker
from tasktools.worker.silent_broker import Silence
from tests.support import silent_port


class Worker:
    """What a worker's stop says and does."""

    def __init__(self, port: int) -> None:
        self.over = threading.Event()
        self.said: list[str] = []
        self.app = Celery("shop", broker=f"redis://:secret@127.0.0.1:{port}/0", set_as_current=False)
        self.silence = Silence(self.app, self.over, self.said.append, self.leave)
        self.left = 0

    def leave(self) -> None:
        self.left += 1
        self.over.set()


def follow(worker: Worker, controller: Any, pool: Any = None) -> None:
    controller.wait_for_soft_shutdown = lambda: None
    pool = pool or SimpleNamespace(stop=lambda: None)
    worker.silence.follow(SimpleNamespace(controller=controller, pool=pool))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, seconds in (("PATIENCE", 0.0), ("LIMIT", 0.3), ("PERIOD", 0.01)):
        monkeypatch.setattr(silent_broker, name, seconds)
    for name in ("should_stop", "should_terminate"):
        monkeypatch.setattr(state, name, None)
    monkeypatch.setattr(state, "active_requests", [])
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with silent_port() as port:
        made = Worker(port)
        yield made
        made.over.set()


def test_silent__the_wait_of_the_main_thread_ends_as_celery_ends_it(worker: Worker) -> None:
    worker.silence.arm()
    threading.Thread(target=worker.silence.watch, daemon=True).start()
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs, pytest.raises(WorkerShutdown):
        ours.recv(1)
    assert worker.said == [
        f'The broker "{worker.app.connection().as_uri()}" does not answer. The worker stops without it.'
    ]
    assert worker.left == 0


def test_silent__at_the_close_the_process_is_left(worker: Worker) -> None:
    worker.silence.arm()
    controller = SimpleNamespace(stop=lambda: None)
    follow(worker, controller)
    controller.stop()
    worker.silence.watch()
    assert worker.left == 1


def test_silent__at_the_close_what_runs_is_waited_for(worker: Worker) -> None:
    """Celery closes the connection before it waits for its pool."""
    state.active_requests.append(SimpleNamespace(id="a"))
    ours, theirs = socket.socketpair()
    ours.settimeout(60)

    def finish() -> None:
        assert worker.silence.waits
        assert worker.left == 0
        state.active_requests.clear()
        theirs.sendall(b"x")  # only the test goes on after that

    controller = SimpleNamespace(stop=lambda: ours.recv(1))
    worker.silence.arm()
    follow(worker, controller, SimpleNamespace(stop=finish))
    threading.Thread(target=worker.silence.watch, daemon=True).start()
    with ours, theirs:
        controller.stop()
    assert worker.left == 1


def test_silent__where_the_alarm_is_not_ours_the_process_is_left(worker: Worker) -> None:
    worker.silence.watch()
    assert worker.left == 1


@pytest.mark.parametrize("kind", ["waits", "is_solo"])
def test_running_tasks__are_waited_for(worker: Worker, kind: str) -> None:
    state.active_requests.append(SimpleNamespace(id="a"))
    setattr(worker.silence, kind, True)
    threading.Timer(0.5, worker.over.set).start()
    worker.silence.watch()
    assert (worker.said, worker.left) == ([], 0)


def test_answering__leaves_the_stop_to_celery(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    broker: Any = SimpleNamespace(name="The broker", ping=lambda limit: None)
    monkeypatch.setattr(silent_broker, "broker_of", lambda app: broker)
    threading.Timer(0.2, worker.over.set).start()
    worker.silence.watch()
    assert (worker.said, worker.left) == ([], 0)


def test_alarm_of_somebody_else__stays(worker: Worker) -> None:
    def theirs(*_: Any) -> None: ...

    signal.signal(signal.SIGALRM, theirs)
    worker.silence.arm()
    assert signal.getsignal(signal.SIGALRM) is theirs
