from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from amqp import spec
from amqp.exceptions import MessageNacked, RecoverableConnectionError

from tasktools.brokers import amqp
from tasktools.brokers.amqp import Confirms


class Channel:
    """One of py-amqp whose broker answers with one of `answers` each time somebody reads."""

    def __init__(self, *answers: tuple[str, int, bool]) -> None:
        self.answers = list(answers)
        self.events: dict[str, set[Callable[..., None]]] = {"basic_ack": set(), "basic_nack": set()}
        self.connection: Any = SimpleNamespace(drain_events=self.drain)
        self.sent: list[Any] = []
        self.selected = 0
        self.limits: list[float] = []

    def confirm_select(self) -> None:
        self.selected += 1

    def basic_publish(self, message: Any, **_: Any) -> None:
        self.sent.append(("waited for", message))

    def send_method(self, method: Any, form: str, where: Any, message: Any) -> None:
        assert (method, form) == (spec.Basic.Publish, "Bssbb")
        self.sent.append((where, message))

    def drain(self, timeout: float) -> None:
        self.limits.append(timeout)
        if not self.answers:
            raise TimeoutError("silent")
        name, tag, multiple = self.answers.pop(0)
        for callback in self.events[name]:
            callback(tag, multiple)


def publish(channel: Any, *messages: str) -> None:
    for each in messages:
        channel.basic_publish(each, exchange="", routing_key="celery", timeout=None)


def test_confirms__are_awaited_at_the_end() -> None:
    channel = Channel(("basic_ack", 2, False), ("basic_ack", 1, True), ("basic_ack", 3, True))
    with Confirms(channel, 4.0):
        publish(channel, "a", "b", "c")
        assert channel.limits == []
        assert channel.sent[0] == ((0, "", "celery", False, False), "a")
    assert len(channel.limits) == 3
    assert channel.answers == []


def test_confirms__count_on_from_batch_to_batch() -> None:
    channel = Channel(("basic_ack", 2, True), ("basic_ack", 3, False), ("basic_ack", 3, True), ("basic_ack", 4, False))
    confirms = Confirms(channel, 4.0)
    with confirms:
        publish(channel, "a", "b")
    with confirms:
        publish(channel, "c", "d")
    assert channel.selected == 1
    assert channel.answers == []
    publish(channel, "e")
    assert channel.sent[-1] == ("waited for", "e")


def test_confirms__a_silent_broker() -> None:
    channel = Channel(("basic_ack", 1, False))
    confirms = Confirms(channel, 4.0)
    confirms.__enter__()
    publish(channel, "a", "b")
    with pytest.raises(TimeoutError):
        confirms.__exit__(None, None, None)
    assert all(3.5 < each <= 4 for each in channel.limits)


def test_confirms__a_broker_that_sends_other_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for confirms: a heartbeat does not begin it again."""
    now = [0.0]
    monkeypatch.setattr(amqp, "time", SimpleNamespace(monotonic=lambda: now[0]))
    channel = Channel()
    channel.connection.drain_events = lambda timeout: now.__setitem__(0, now[0] + 3) or channel.limits.append(timeout)
    confirms = Confirms(channel, 4.0)
    confirms.__enter__()
    publish(channel, "a")
    with pytest.raises(TimeoutError):
        confirms.flush()
    assert channel.limits == [4.0, 1.0]


def test_confirms__a_message_that_is_refused() -> None:
    channel = Channel(("basic_ack", 1, False), ("basic_nack", 2, False))
    confirms = Confirms(channel, 4.0)
    confirms.__enter__()
    publish(channel, "a", "b", "c")
    with pytest.raises(MessageNacked):
        confirms.flush()


@pytest.mark.parametrize("when", ["publish", "flush"])
def test_confirms__a_channel_that_is_closed(when: str) -> None:
    channel = Channel()
    confirms = Confirms(channel, 4.0)
    confirms.__enter__()
    publish(channel, "a")
    channel.connection = None
    with pytest.raises(RecoverableConnectionError):
        publish(channel, "b") if when == "publish" else confirms.flush()


def test_confirms__not_more_than_some_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp, "MOST_OPEN", 2)
    channel = Channel(("basic_ack", 2, True))
    confirms = Confirms(channel, 4.0)
    confirms.__enter__()
    publish(channel, "a", "b")
    assert channel.limits == []
    publish(channel, "c")
    assert len(channel.limits) == 1


def test_confirms__an_error_inside_is_not_delayed() -> None:
    channel = Channel()
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), Confirms(channel, 4.0):
        publish(channel, "a") or 1 / 0
    assert channel.limits == []
    assert time.monotonic() - began < 4
    publish(channel, "b")
    assert channel.sent[-1] == ("waited for", "b")
