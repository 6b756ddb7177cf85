"""What a worker of Redis does with the messages that it has taken over a connection that is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from tasktools.reconnecting import Rescue


class Message:
    acknowledged = False

    def __init__(self, tag: str) -> None:
        self.delivery_tag = tag
        self.channel: Any = None

    def requeue(self) -> None:
        self.channel.requeued.append(self.delivery_tag)


class Qos(dict[str, Any]):
    """Of it, kombu's QoS: `_delivered` is what was taken and not acknowledged, `restore_by_tag` is Redis' alone."""

    restore_by_tag = None

    @property
    def _delivered(self) -> Qos:
        return self

    def _flush(self) -> None:
        pass

    def append(self, message: Any, tag: str) -> None:
        self[tag] = message


class Request:
    def __init__(self, message: Message, time_start: float | None = None) -> None:
        self.message = message
        self.time_start = time_start


def rescue(consumer: Any) -> Rescue:
    step = type("Step", (Rescue,), {"messages": {}})
    return step(consumer)  # type: ignore[no-any-return]


class Consumer:
    """A worker's consumer; its timer and its loop do nothing by themselves."""

    connection_errors = (ConnectionError,)
    channel_errors = ()

    def __init__(self, *tags: str, uses_semaphore: bool = True) -> None:
        self.messages = [Message(tag) for tag in tags]
        self.later: list[Any] = []
        self.pool = SimpleNamespace(uses_semaphore=uses_semaphore)
        self.timer = SimpleNamespace(call_after=self._call_after)
        self.left_at_the_close: list[str] | None = None
        self.connect()
        self.task_consumer.channel.qos.update({message.delivery_tag: message for message in self.messages})
        self.rescue = rescue(self)

    def on_connection_error_after_connected(self, error: BaseException) -> None:
        self.left_at_the_close = list(self.task_consumer.channel.qos)

    def connect(self) -> Any:
        channel = SimpleNamespace(qos=Qos(), requeued=[])
        self.task_consumer = SimpleNamespace(channel=channel)
        return channel

    def call_soon(self, function: Callable[[], None]) -> None:
        function()

    def _call_after(self, seconds: float, function: Callable[..., None], args: tuple[Any, ...]) -> Any:
        call = [function, args]
        self.later.append(call)
        return SimpleNamespace(cancel=lambda: self.later.remove(call))

    def wait(self) -> None:
        for function, args in self.later:
            function(*args)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    state.reset_state()


def test_lost_connection__what_runs_is_kept_and_the_rest_goes_back() -> None:
    consumer = Consumer("runs", "reserved", "done")
    running, waiting = Request(consumer.messages[0], time_start=1.0), Request(consumer.messages[1])
    state.reserved_requests.update([running, waiting])
    consumer.on_connection_error_after_connected(ConnectionError())
    assert consumer.left_at_the_close == []  # or Celery would put it back over the lost connection
    channel = consumer.connect()
    consumer.rescue.start(consumer)
    assert list(channel.qos) == ["runs", "reserved", "done"]
    consumer.messages[2].acknowledged = True
    consumer.wait()
    assert channel.requeued == ["reserved"]
    assert running.message.channel is channel  # which it is acknowledged on


def test_lost_connection__what_ends_in_that_moment_is_left_to_its_acknowledgement() -> None:
    consumer = Consumer("ends")
    request = Request(consumer.messages[0], time_start=1.0)
    state.reserved_requests.add(request)
    consumer.on_connection_error_after_connected(ConnectionError())
    channel = consumer.connect()
    consumer.rescue.start(consumer)
    state.reserved_requests.clear()  # as Celery does; it acknowledges in the next step of its loop
    consumer.wait()
    assert channel.requeued == []


def test_lost_connection__threads_have_been_handed_what_is_reserved() -> None:
    consumer = Consumer("reserved", "waits for its time", uses_semaphore=False)
    handed = Request(consumer.messages[0])
    state.reserved_requests.add(handed)
    consumer.on_connection_error_after_connected(ConnectionError())
    state.reserved_requests.clear()  # as Celery does
    channel = consumer.connect()
    consumer.rescue.start(consumer)
    consumer.wait()
    assert channel.requeued == ["waits for its time"]


def test_lost_connection__twice_in_a_moment() -> None:
    consumer = Consumer("reserved")
    consumer.on_connection_error_after_connected(ConnectionError())
    consumer.connect()
    consumer.rescue.start(consumer)
    consumer.on_connection_error_after_connected(ConnectionError())
    channel = consumer.connect()
    consumer.rescue.start(consumer)
    consumer.wait()
    assert channel.requeued == ["reserved"]


def test_lost_connection__of_another_broker_is_celerys() -> None:
    consumer = Consumer("reserved")
    consumer.task_consumer.channel = SimpleNamespace()
    consumer.on_connection_error_after_connected = rescue(consumer)._take
    consumer.on_connection_error_after_connected()
    consumer.rescue.start(consumer)
    assert consumer.later == []
