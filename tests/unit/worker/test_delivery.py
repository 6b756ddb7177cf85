"""Keeping messages away from a worker, with brokers that are not there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.worker.delivery import Asked, Pushed


class Message:
    def __init__(self, key: int, requeued: list[int]) -> None:
        self.key = key
        self._requeued = requeued

    def requeue(self) -> None:
        self._requeued.append(self.key)


class Broker:
    """An AMQP consumer and its loop: a cancel delivers what is on its way, and what goes back while it gives comes again."""

    connection_errors = (ConnectionError,)
    channel_errors = (LookupError,)

    def __init__(self, is_shut: Callable[[], bool] = lambda: True) -> None:
        self.task_consumer = self
        self.on_its_way: list[int] = []
        self.requeued: list[int] = []
        self.asked: list[str] = []
        self.soon: list[Callable[[], None]] = []
        self.delivery = Pushed(self, is_shut)

    def call_soon(self, function: Callable[[], None]) -> None:
        self.soon.append(function)

    def turn(self) -> None:
        """Turn the loop until nothing is left to do."""
        while self.soon:
            self.soon.pop(0)()

    def deliver(self, key: int) -> None:
        self.delivery.refuse(Message(key, self.requeued))

    def cancel(self) -> None:
        assert not self.requeued, "it would come again at once"
        while self.on_its_way:
            self.deliver(self.on_its_way.pop(0))
        self.asked.append("cancel")

    def consume(self) -> None:
        self.asked.append("consume")


def test_pushed__refused_message_goes_back_after_one_cancel_from_the_loop() -> None:
    broker = Broker()
    broker.on_its_way = [2, 3]
    broker.deliver(1)
    assert (broker.asked, broker.requeued) == ([], [])
    broker.turn()
    assert broker.asked == ["cancel"]
    # A quorum queue of RabbitMQ puts each at the end; a classic one knows their places.
    assert broker.requeued == [1, 2, 3]


def test_pushed__closed_and_opened_before_the_loop_comes_to_it() -> None:
    shut = [True]
    broker = Broker(lambda: shut[0])
    broker.delivery.shut()
    shut[0] = False
    broker.delivery.reopen()
    broker.soon.reverse()  # the hub keeps no order
    broker.turn()
    assert set(broker.asked) == {"consume"}


def test_pushed__what_is_held_goes_back_at_a_stop() -> None:
    broker = Broker()
    broker.deliver(1)
    broker.delivery.close()
    assert (broker.asked, broker.requeued) == (["cancel"], [1])


def test_pushed__stop_with_nothing_held_asks_for_nothing() -> None:
    broker = Broker()
    broker.delivery.close()
    assert broker.asked == []


def test_pushed__lost_connection_is_the_loops_to_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker()
    broker.deliver(1)

    def cancel() -> None:
        raise ConnectionResetError

    monkeypatch.setattr(broker, "cancel", cancel)
    broker.turn()
    assert broker.requeued == []  # the broker has it back by itself


class Denied(Exception):
    """What a server answers to a user who may not."""


@pytest.mark.parametrize("may", [True, False])
def test_asked__wakes_its_brpop_where_it_may(may: bool) -> None:
    said: list[Any] = []

    def client_id() -> int:
        if not may:
            raise Denied
        return 7

    client = SimpleNamespace(client_id=client_id, execute_command=lambda *words: said.append(words))
    channel = SimpleNamespace(client=client, ResponseError=Denied, qos=SimpleNamespace(can_consume=lambda: True))
    consumer = SimpleNamespace(task_consumer=SimpleNamespace(channel=channel))
    beside = contextlib.nullcontext(SimpleNamespace(default_channel=SimpleNamespace(client=client)))
    admits = [False]
    delivery = Asked(consumer, lambda: admits[0], lambda: beside)
    assert not channel.qos.can_consume()
    admits[0] = True
    assert channel.qos.can_consume()
    delivery.shut()
    assert said == ([("CLIENT", "UNBLOCK", 7)] if may else [])
