"""How a worker stops taking from one queue, with brokers that are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.worker import delivery, one_queue
from tasktools.worker.delivery import Pushed
from tasktools.worker.one_queue import AskedQueue, PushedQueue

BUSY = SimpleNamespace(name="busy")


class Message:
    def __init__(self, key: str, said: list[Any], channel: Any = None, **properties: Any) -> None:
        self.delivery_tag, self._raw, self.properties, self._said = key, {"body": key}, properties, said

        self.acknowledged, self.channel = False, channel

    def requeue(self) -> None:
        if f"fail {self.delivery_tag}" in self._said:
            raise ConnectionError
        self.acknowledged = True
        self._said.append(f"requeue {self.delivery_tag}")


class Pushing:
    """kombu's consumer and channel of AMQP."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.channel = self
        self._active_tags = {"busy": "1", "quiet": "2"}
        self.queue = PushedQueue(SimpleNamespace(task_consumer=self))  # type: ignore[arg-type]

    def basic_cancel(self, tag: str) -> None:
        self.said.append(f"cancel {tag}")

    def _basic_consume(self, queue: Any, *, nowait: bool) -> None:
        self.said.append(f"consume {queue.name} {nowait}")


def test_pushed__is_cancelled_once_and_consumed_again() -> None:
    broker = Pushing()
    broker.queue.start(BUSY)
    assert broker.said == []  # it was not stopped here
    broker.queue.stop(BUSY)
    broker.queue.stop(BUSY)
    assert (broker.said, broker._active_tags) == (["cancel 1"], {"quiet": "2"})
    broker.queue.start(BUSY)
    broker.queue.start(BUSY)
    assert broker.said == ["cancel 1", "consume busy False"]


def test_pushed__while_the_intake_is_shut_a_resumed_queue_waits_for_it() -> None:
    broker = Pushing()
    shut = [True]
    intake = Pushed(
        SimpleNamespace(task_consumer=broker, connection_errors=(), channel_errors=()),  # type: ignore[arg-type]
        lambda: shut[0],
    )
    broker.cancel = broker.consume = lambda: None  # type: ignore[attr-defined]
    broker.queue.stop(BUSY)
    intake._adjust()
    assert delivery.is_shut(broker)
    broker.queue.start(BUSY)
    assert broker.said == ["cancel 1"]
    shut[0] = False
    intake._adjust()
    assert not delivery.is_shut(broker)


def test_pushed__refused_messages_go_back_behind_the_reserved_ones() -> None:
    broker = Pushing()
    assert not broker.queue.holds
    broker.queue.refuse(Message("3", broker.said, broker), "busy")  # type: ignore[arg-type]
    assert (broker.queue.holds, broker.queue.is_ready, broker.said) == (True, True, [])
    messages: Any = [(Message(each, broker.said, broker), "busy") for each in "12"]
    broker.queue.give_back(messages)
    broker.queue.give_back([])
    assert broker.said == ["requeue 1", "requeue 2", "requeue 3"]


def test_pushed__after_an_error_the_rest_goes_back_and_nothing_twice() -> None:
    broker = Pushing()
    messages: Any = [(Message(each, broker.said, broker), "busy") for each in "12"]
    broker.queue.refuse(Message("3", broker.said, broker), "busy")  # type: ignore[arg-type]
    broker.said.append("fail 2")
    with pytest.raises(ConnectionError):
        broker.queue.give_back(messages)
    assert broker.queue.holds
    broker.said.remove("fail 2")
    broker.queue.give_back(messages)
    assert (broker.said, broker.queue.holds) == (["requeue 1", "requeue 2", "requeue 3"], False)


def test_pushed__what_came_by_a_lost_connection_comes_again_by_itself() -> None:
    broker = Pushing()
    broker.queue.give_back([(Message("1", broker.said, "the lost one"), "busy")])  # type: ignore[list-item]
    assert broker.said == []


class Asking:
    """kombu's consumer and channel of Redis."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[Any] = []
        self.channel = self
        self.forgotten: list[str] = []
        self.qos = SimpleNamespace(
            _quick_ack=self.forgotten.append
        )  # what kombu's own `ack` of a virtual channel calls
        self._active_tags = {"busy": "1", "quiet": "2"}
        self._active_queues = ["busy", "quiet"]
        self._in_poll: Any = False
        self._brpop_start: Any = lambda: self.said.append("brpop")
        self.queue = AskedQueue(SimpleNamespace(task_consumer=self))  # type: ignore[arg-type]
        monkeypatch.setattr(one_queue, "Keys", lambda channel: channel)
        monkeypatch.setattr(one_queue.aside, "give_back", lambda _, taken: self.said.append(taken))
        monkeypatch.setattr(one_queue.aside, "put_aside", lambda _, taken: self.said.append(taken))

    def _update_queue_cycle(self) -> None:
        self.said.append("cycle")


def test_asked__is_left_out_and_put_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Asking(monkeypatch)
    broker.queue.start(BUSY)  # type: ignore[arg-type]
    assert broker.said == []
    broker.queue.stop(BUSY)  # type: ignore[arg-type]
    broker.queue.stop(BUSY)  # type: ignore[arg-type]
    assert (broker._active_queues, broker.said) == (["quiet"], ["cycle"])
    broker.queue.start(BUSY)  # type: ignore[arg-type]
    broker.queue.start(BUSY)  # type: ignore[arg-type]
    assert (broker._active_queues, broker.said) == (["quiet", "busy"], ["cycle", "cycle"])


def test_asked__a_queue_that_celery_has_cancelled_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Asking(monkeypatch)
    broker.queue.stop(BUSY)  # type: ignore[arg-type]
    del broker._active_tags["busy"]
    broker.queue.start(BUSY)  # type: ignore[arg-type]
    assert broker._active_queues == ["quiet"]


@pytest.mark.parametrize(("priority", "step"), [(None, 0), (3, 3), (99, 9), (-1, 0), ("high", 0)])
def test_asked__a_message_goes_back_to_its_list(priority: Any, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Asking(monkeypatch)
    message: Any = Message("1", broker.said, priority=priority)
    broker.queue.refuse(message, "busy")
    assert (broker.queue.holds, broker.said) == (True, [])
    broker.queue.give_back([])
    assert not broker.queue.holds
    [[taken]] = broker.said
    assert (taken.tag, taken.raw, taken.queue, taken.priority) == ("1", '{"body": "1"}', "busy", step)
    assert (message._state, broker.forgotten) == ("REQUEUED", ["1"])


def test_asked__a_message_is_put_aside_with_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Asking(monkeypatch)
    message: Any = Message("1", broker.said)
    broker.queue.put_aside([(message, "busy", "shop.tasks.add")])
    [[(taken, task)]] = broker.said
    assert (taken.queue, task, message._state) == ("busy", "shop.tasks.add", "REQUEUED")


def test_asked__refused_messages_go_behind_the_reserved_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Asking(monkeypatch)
    one, two, three, four = (Message(each, broker.said) for each in "1234")
    broker.queue.refuse(two, "busy")  # type: ignore[arg-type]
    broker.queue.refuse(four, "busy", "add")  # type: ignore[arg-type]
    broker.queue.give_back([(one, "busy")])  # type: ignore[list-item]
    assert broker.queue.holds
    broker.queue.put_aside([(three, "busy", "add")])  # type: ignore[list-item]
    assert not broker.queue.holds
    back, away = broker.said
    assert ([each.tag for each in back], [each.tag for each, _ in away]) == (["1", "2"], ["3", "4"])


def test_asked__waits_for_a_brpop_that_is_under_way_when_the_queue_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Asking(monkeypatch)
    broker._brpop_start()
    broker._in_poll = object()
    broker.queue.stop(BUSY)  # type: ignore[arg-type]
    assert not broker.queue.is_ready
    broker._in_poll = None  # its answer has been read
    assert broker.queue.is_ready
    broker._brpop_start()
    broker._in_poll = object()
    assert broker.queue.is_ready  # this one has left the queue out


def test_asked__nothing_is_asked_of_the_broker_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Asking(monkeypatch)
    broker.queue.give_back([])
    broker.queue.put_aside([])
    assert broker.said == []


@pytest.mark.parametrize("task", ["", "add"])
def test_asked__refused_messages_are_kept_until_the_server_has_answered(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Asking(monkeypatch)
    message: Any = Message("1", broker.said)
    broker.queue.refuse(message, "busy", task)

    def fail(*_: object) -> None:
        raise ConnectionError

    send: Any = broker.queue.put_aside if task else broker.queue.give_back
    with monkeypatch.context() as failing:
        failing.setattr(one_queue.aside, send.__name__, fail)
        with pytest.raises(ConnectionError):
            send([])
    assert (broker.queue.holds, broker.forgotten) == (True, [])
    send([])
    assert (broker.queue.holds, broker.forgotten) == (False, ["1"])
