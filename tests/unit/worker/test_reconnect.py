"""What a worker of Redis does with the messages that it has taken over a connection that is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from celery.worker import state

from tasktools.worker.reconnect import Rescue, delivered_by, install


class Message:
    acknowledged = False

    def __init__(self, tag: str) -> None:
        self.delivery_tag = tag
        self.channel: Any = None

    def ack(self) -> None:
        self.acknowledged = True
        self.channel.acknowledged.append(self.delivery_tag)


class Qos(dict[str, Any]):
    """Of it, kombu's QoS: `_delivered` is what was taken and not acknowledged, `restore_by_tag` is Redis' alone."""

    unacked_key = "unacked"
    visibility_timeout = 3600

    def __init__(self, held: set[str]) -> None:
        #: The tags that the server knows.
        self.held = held
        self.asked: list[str] = []
        #: What went back to the front of its queue.
        self.requeued: list[str] = []

    def restore_by_tag(self, tag: str) -> None:
        self.requeued.append(tag)

    def _quick_ack(self, tag: str) -> None:
        pass

    @contextlib.contextmanager
    def pipe_or_acquire(self) -> Iterator[Qos]:
        yield self

    def hget(self, key: str, tag: str) -> None:
        self.asked.append(tag)

    def execute(self) -> list[str | None]:
        return [tag if tag in self.held else None for tag in self.asked]

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
        self.acknowledged = False
        self.on_ack = SimpleNamespace(ready=False)

    def acknowledge(self) -> None:
        """Acknowledge as Celery does, on a channel that is lost."""
        self.acknowledged = self.on_ack.ready = True


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
        self.held = set(tags)
        self.connect()
        self.task_consumer.channel.qos.update({message.delivery_tag: message for message in self.messages})
        self.rescue = rescue(self)

    def on_connection_error_after_connected(self, error: BaseException) -> None:
        self.left_at_the_close = list(self.task_consumer.channel.qos)

    def connect(self) -> Any:
        qos = Qos(self.held)
        channel = SimpleNamespace(qos=qos, requeued=qos.requeued, acknowledged=[])
        self.task_consumer = SimpleNamespace(channel=channel)
        return channel

    def call_soon(self, function: Callable[[], None]) -> None:
        function()

    def _call_after(self, seconds: float, function: Callable[..., None], args: tuple[Any, ...]) -> Any:
        call = [function, args]
        self.later.append(call)
        return SimpleNamespace(cancel=lambda: call in self.later and self.later.remove(call))

    def wait(self) -> None:
        while self.later:
            function, args = self.later.pop()
            function(*args)

    def reserve(self, place: int, time_start: float | None = None) -> Request:
        request = Request(self.messages[place], time_start)
        state.reserved_requests.add(request)
        signals.task_received.send(sender=self, request=request)
        return request

    def lose(self) -> Any:
        """Lose the connection and get another one; return its channel."""
        self.on_connection_error_after_connected(ConnectionError())
        state.reserved_requests.clear()  # as Celery does
        channel = self.connect()
        self.rescue.start(self)
        return channel


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    state.reset_state()


def test_lost_connection__what_runs_is_kept_and_the_rest_goes_back() -> None:
    consumer = Consumer("runs", "reserved", "done")
    running, _waiting = consumer.reserve(0, time_start=1.0), consumer.reserve(1)
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
    request = consumer.reserve(0, time_start=1.0)
    channel = consumer.lose()
    request.acknowledge()  # Celery's loop tells the broker in its next step
    consumer.wait()
    assert (channel.requeued, channel.acknowledged) == ([], [])


def test_lost_connection__what_has_ended_meanwhile_is_acknowledged() -> None:
    """Without a hub Celery acknowledges at once, on the channel that is lost, and does not come back to it."""
    consumer = Consumer("ended", "rejected", uses_semaphore=False)
    ended, rejected = consumer.reserve(0, time_start=1.0), consumer.reserve(1, time_start=1.0)
    ended.acknowledge()
    rejected.acknowledged = True
    channel = consumer.lose()
    consumer.wait()
    assert (channel.requeued, channel.acknowledged) == ([], ["ended"])


def test_lost_connection__that_is_noticed_after_the_end_of_a_task() -> None:
    consumer = Consumer("ended", uses_semaphore=False)
    consumer.reserve(0, time_start=1.0).acknowledge()
    state.reserved_requests.clear()
    channel = consumer.lose()
    consumer.wait()
    assert (channel.requeued, channel.acknowledged) == ([], ["ended"])


def test_requests__are_forgotten_when_they_are_acknowledged() -> None:
    consumer = Consumer(*map(str, range(1000)))
    for place in range(1000):
        consumer.reserve(place, time_start=1.0)
        consumer.messages[place].acknowledged = place != 5
    assert len(consumer.rescue._requests) <= 103
    assert "5" in consumer.rescue._requests


def test_lost_connection__threads_have_been_handed_what_is_reserved() -> None:
    consumer = Consumer("reserved", "waits for its time", uses_semaphore=False)
    _request = consumer.reserve(0)
    channel = consumer.lose()
    consumer.wait()
    assert channel.requeued == ["waits for its time"]


def test_lost_connection__again_later__threads_still_have_it() -> None:
    consumer = Consumer("reserved", uses_semaphore=False)
    _request = consumer.reserve(0)
    for _ in range(2):
        channel = consumer.lose()
        consumer.wait()
        assert channel.requeued == []


@pytest.mark.parametrize(
    ("held", "hours", "requeued"),
    [
        (["one"], 0, ["one"]),  # the server was away for the worker alone, and another worker has "two"
        ([], 0, ["one", "two"]),  # the server has lost its memory
        ([], 2, []),  # each may have gone to another worker
    ],
    ids=["one", "none", "none for long"],
)
def test_lost_connection__what_another_worker_has_is_not_put_back(
    monkeypatch: pytest.MonkeyPatch, held: list[str], hours: int, requeued: list[str]
) -> None:
    consumer = Consumer("one", "two")
    consumer.on_connection_error_after_connected(ConnectionError())
    consumer.held = set(held)
    channel = consumer.connect()
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + hours * 3600)
    consumer.rescue.start(consumer)
    assert list(channel.qos) == requeued
    assert all(message.channel is channel for message in consumer.messages)
    consumer.wait()
    assert channel.requeued == requeued[::-1]  # each goes ahead of the one before


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


def test_lost_connection__one_that_is_acknowledged_does_not_hold_up_the_others() -> None:
    consumer = Consumer("done", "reserved")
    channel = consumer.lose()
    consumer.messages[0].acknowledged = True
    consumer.wait()
    assert channel.requeued == ["reserved"]


def test_lost_connection__once_more_while_the_messages_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(qos: Qos, tag: str) -> None:
        raise ConnectionError

    consumer = Consumer("reserved")
    consumer.lose()
    monkeypatch.setattr(Qos, "restore_by_tag", fail)
    consumer.wait()  # the loop notices
    assert consumer.rescue._kept == {}


def test_lost_connection__celery_hears_of_it_as_before() -> None:
    heard: list[BaseException] = []
    consumer = Consumer()
    consumer.on_connection_error_after_connected = heard.append  # type: ignore[assignment]
    rescue(consumer)
    error = ConnectionError("gone")
    consumer.on_connection_error_after_connected(error)
    assert heard == [error]


def test_requests__of_another_consumer_are_not_noted() -> None:
    one, other = Consumer("a"), Consumer("b")
    one.reserve(0)
    assert list(one.rescue._requests) == ["a"]
    assert list(other.rescue._requests) == []


def test_install__adds_the_step_with_the_messages_that_it_returns() -> None:
    with Celery("shop", set_as_current=False) as app:
        lost = install(app)
        [step] = app.steps["consumer"]
    assert step.name == "tasktools.worker.reconnect.Rescue"
    assert lost == {}
    assert step.messages is lost


def test_delivered_by__is_there_on_redis_alone() -> None:
    assert delivered_by(SimpleNamespace(task_consumer=None)) is None  # type: ignore[arg-type]
    other = SimpleNamespace(task_consumer=SimpleNamespace(channel=SimpleNamespace(qos=object())))
    assert delivered_by(other) is None  # type: ignore[arg-type]
    consumer = Consumer("a")
    assert delivered_by(consumer) is consumer.task_consumer.channel.qos  # type: ignore[arg-type]
