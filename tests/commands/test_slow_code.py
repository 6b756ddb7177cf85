"""Code of the project that takes longer than a broker is given: it is not interrupted, and the broker is not blamed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.signals import before_task_publish
from kombu.connection import Connection
from kombu.messaging import Producer

from tasktools.discovery.celery_app import Found
from tasktools.project import Project
from tasktools.publishing import producer

#: How long the project's code takes, in seconds: longer than the limit.
SLOW = 0.2


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, project: Project) -> Iterator[Any]:
    made = Celery("slow", broker="memory://", set_as_current=False)
    made.task(name="slow.add", shared=False)(_add)
    made.conf.task_default_queue = f"slow-{uuid.uuid4()}"
    project.found = Found(app=made)
    monkeypatch.setattr(producer, "SEND_LIMIT", 0.05)
    yield made
    made.close()


def _add(x: int, y: int) -> int:
    return x + y


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The connections that were closed."""
    closed: list[Any] = []
    release = Connection.release

    def note(connection: Any) -> None:
        closed.append(connection)
        release(connection)

    monkeypatch.setattr(Connection, "release", note)
    return closed


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A broker that takes what is published and never says so."""
    ended = threading.Event()
    monkeypatch.setattr(Producer, "_publish", lambda *_, **__: ended.wait(30))
    yield
    ended.set()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_slow__an_apply_async_that_takes_its_time(run_command: Any, shop: Any, before: bool) -> None:
    class Slow(Task):
        abstract = True

        def apply_async(self, *args: Any, **options: Any) -> Any:
            time.sleep(SLOW * before)
            sent = super().apply_async(*args, **options)
            time.sleep(SLOW * (not before))
            return sent

    shop.task(name="slow.own", base=Slow, shared=False)(_add)
    done = run_command("enqueue", "own", "1", "2")
    assert (done.code, done.err) == (0, "")


def test_slow__a_receiver_of_a_signal_is_not_cut_off(run_command: Any, shop: Any) -> None:
    ended = []

    def receive(**_: Any) -> None:
        time.sleep(SLOW)
        ended.append(True)

    before_task_publish.connect(receive, weak=False, dispatch_uid="slow")
    try:
        done = run_command("enqueue", "slow.add", "1", "2")
    finally:
        before_task_publish.disconnect(dispatch_uid="slow")
    assert (done.code, ended) == (0, [True])


def test_slow__a_silent_broker_is_blamed_also_after_a_slow_receiver(run_command: Any, shop: Any, silent: None) -> None:
    before_task_publish.connect(lambda **_: time.sleep(SLOW), weak=False, dispatch_uid="slow")
    try:
        done = run_command("enqueue", "slow.add", "1", "2")
    finally:
        before_task_publish.disconnect(dispatch_uid="slow")
    assert done.code == 69
    assert done.err.startswith('The broker "memory://" does not answer. Whether slow.add was sent cannot be known.')


@pytest.mark.parametrize("swallows", [True, False])
def test_slow__a_silent_broker_is_blamed_whatever_the_task_makes_of_it(
    run_command: Any, shop: Any, silent: None, swallows: bool
) -> None:
    class Careful(Task):
        abstract = True

        def apply_async(self, *args: Any, **options: Any) -> Any:
            try:
                return super().apply_async(*args, **options)
            except Exception as error:
                if swallows:
                    return None
                raise RuntimeError("it cannot be sent") from error

    shop.task(name="slow.careful", base=Careful, shared=False)(_add)
    done = run_command("enqueue", "careful", "1", "2")
    assert done.code == 69
    assert "does not answer. Whether slow.careful was sent cannot be known." in done.err


def test_slow__a_silent_result_backend(run_command: Any, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr("celery.backends.base.Backend.on_task_call", lambda *_: ended.wait(30))
    done = run_command("enqueue", "slow.add", "1", "2")
    ended.set()
    assert (done.code, done.out) == (69, "")
    assert done.err.startswith("The result backend does not answer. Nothing was sent.")
    assert "on_task_call" not in vars(shop.backend)


@pytest.mark.parametrize("code", [0, 2, 69])
def test_slow__the_connection_is_closed_however_it_ends(
    run_command: Any, shop: Any, released: list[Any], request: pytest.FixtureRequest, code: int
) -> None:
    if code == 2:
        shop.conf.task_compression = "zipp"
    if code == 69:
        request.getfixturevalue("silent")
    assert run_command("enqueue", "slow.add", "1", "2").code == code
    assert len(released) == 1
    assert not released[0].connected


def test_slow__a_silent_amqp_broker_is_left_without_a_goodbye(
    run_command: Any, shop: Any, silent: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[bool] = []
    monkeypatch.setattr("kombu.transport.virtual.Transport.collect", lambda *_: dropped.append(True), raising=False)
    assert run_command("enqueue", "slow.add", "1", "2").code == 69
    assert dropped == [True]
