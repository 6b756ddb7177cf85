from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.queues import depth
from tasktools.queues.depth import Depth


class ChannelError(Exception):
    def __init__(self, reply_code: int) -> None:
        self.reply_code = reply_code


class Channel:
    """A channel of py-amqp: two queues exist. The error for another closes the channel."""

    opened: list[Channel]

    def __enter__(self) -> Channel:
        self.is_open = True
        self.opened.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False

    def queue_declare(self, queue: str, *, passive: bool) -> Any:
        assert passive
        assert self.is_open
        if queue not in ("mails", "celery"):
            self.is_open = False
            raise ChannelError({"locked": 405, "refused": 403}.get(queue, 404))
        return SimpleNamespace(message_count=3, consumer_count=2)


def opened(kind: str, name: str = "") -> Any:
    Channel.opened = []
    transport = SimpleNamespace(driver_type=kind, driver_name=name)
    return SimpleNamespace(
        transport=transport, channel=Channel, channel_errors=(ChannelError,), default_channel="default"
    )


def test_read__rabbitmq_in_one_channel_and_a_new_one_after_an_error() -> None:
    depths: dict[str, Depth] = {}
    depth.read(opened("amqp", "py-amqp"), ["mails", "any", "celery"], depths)
    there = Depth(waiting=3, consumers=2, exists=True)
    assert depths == {"any": Depth(waiting=0, consumers=0, exists=False), "celery": there, "mails": there}
    assert len(Channel.opened) == 2


def test_read__a_queue_of_rabbitmq_that_may_not_be_read_is_unknown() -> None:
    depths: dict[str, Depth] = {}
    depth.read(opened("amqp", "py-amqp"), ["celery", "locked", "mails", "refused"], depths)
    assert depths["locked"] == Depth(exists=True)
    assert depths["refused"] == Depth()
    assert depths["mails"].waiting == 3


def test_read__redis_in_one_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def lengths(names: Any) -> dict[str, int]:
        asked.append(names)
        return dict.fromkeys(names, 7)

    monkeypatch.setattr(depth, "Keys", lambda channel: SimpleNamespace(lengths=lengths))
    depths: dict[str, Depth] = {}
    depth.read(opened("redis"), ["mails", "celery"], depths)
    assert depths == {"mails": Depth(waiting=7), "celery": Depth(waiting=7)}
    assert asked == [["mails", "celery"]]


@pytest.mark.parametrize(("name", "waiting"), [("celery", 3), ("missing", 0), ("locked", None), ("refused", None)])
def test_read__another_kind_of_broker_that_does_not_say_it(name: str, waiting: int | None) -> None:
    """Only of a queue that does not exist is it known that nothing waits in it."""
    depths: dict[str, Depth] = {}
    depth.read(opened("qpid"), [name], depths)
    assert depths == {name: Depth(waiting=waiting)}


def test_read__another_kind_of_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    found, depths = opened("filesystem"), dict[str, Depth]()
    monkeypatch.setattr(depth, "queue_length", lambda asked, name: 7 if asked is found else None)
    depth.read(found, ["mails"], depths)
    assert depths == {"mails": Depth(waiting=7)}
