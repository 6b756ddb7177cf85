"""Fixtures of several unit tests."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from celery import Celery, signals
from kombu.transport import memory


@pytest.fixture
def shop() -> Iterator[Any]:
    """An app that is gone after the test: Celery remembers every app that lives. Its broker is empty: all tests share it."""
    memory.Channel.queues.clear()
    app = Celery("shop", broker="memory://", set_as_current=False)

    @app.task(name="shop.pickled", serializer="pickle", shared=False)
    def pickled(value: Any) -> None: ...

    yield app
    app.close()


@pytest.fixture
def no_hang() -> Iterator[None]:
    """End a test that waits in the main thread for longer than 5 s."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers that the test connects go with it."""
    for each in (signals.worker_shutting_down, signals.task_failure, signals.worker_ready):
        monkeypatch.setattr(each, "receivers", [])
        monkeypatch.setattr(each, "lock", threading.Lock())
