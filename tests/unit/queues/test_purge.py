"""A purge on transports of other kinds, and on a RabbitMQ of this process."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import AccessRefused, NotFound, ResourceLocked

from tasktools.exceptions import ConfigurationError, Declined
from tasktools.queues import purge, purge_amqp
from tasktools.queues.purge import PortablePurger, purger_of
from tasktools.queues.purge_amqp import AmqpPurger
from tasktools.queues.purge_redis import RedisPurger


def connection_of(kind: str, name: str = "") -> Any:
    return SimpleNamespace(transport=SimpleNamespace(driver_type=kind, driver_name=name), default_channel=None)


def test_purger_of__each_kind_of_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisPurger, "__init__", lambda self, connection: None)
    kinds = [connection_of("redis", "redis"), connection_of("amqp", "py-amqp"), connection_of("amqp", "qpid")]
    assert [type(purger_of(each)) for each in kinds] == [RedisPurger, AmqpPurger, PortablePurger]


@pytest.mark.parametrize(
    ("kind", "is_declared", "waiting", "found"),
    [
        ("memory", True, 3, 3),
        ("memory", False, 3, 3),
        ("memory", True, None, 0),
        ("memory", False, 0, None),
        ("SQS", True, 3, 3),
        ("SQS", False, 3, None),  # to ask would make the queue
        *((kind, False, 3, 3) for kind in ("filesystem", "sql")),
    ],
)
def test_portable__how_many_wait(
    monkeypatch: pytest.MonkeyPatch, kind: str, is_declared: bool, waiting: int | None, found: int | None
) -> None:
    monkeypatch.setattr(purge, "queue_length", lambda connection, queue: waiting)
    assert PortablePurger(connection_of(kind)).length("mails", is_declared=is_declared) == found


def test_portable__empties_a_queue(shop: Any) -> None:
    shop.conf.task_default_queue = "portable-purge"
    for number in range(3):
        shop.send_task("shop.add", [number])
    with shop.connection_for_write() as connection:
        purger = purger_of(connection)
        assert list(purger.empty("portable-purge")) == [3]
        assert list(purger.empty("portable-purge")) == [0]


def test_portable__what_it_cannot_do() -> None:
    connection = connection_of("SQS")
    purger = PortablePurger(connection)
    assert (purger.bound(), purger.other_kind("mails"), purger.taken(), [*purger.tasks("mails")]) == (
        set(),
        "",
        None,
        [],
    )
    assert (purger.reads_tasks, purger.supports_remove, purger.is_sure) == (False, False, True)
    with pytest.raises(NotImplementedError):
        purger.remove("mails", "shop.add")
    with pytest.raises(ConfigurationError) as caught:
        purger.require_remove()
    what = "can only empty a whole queue, not remove the messages of one task"
    assert (caught.value.sentence, caught.value.hint) == (f'This kind of broker ("SQS") {what}.', "leave out --task")

    def refuse(queue: str) -> None:
        raise NotImplementedError

    connection.channel = lambda: Channel(SimpleNamespace(queue_purge=refuse))
    with pytest.raises(ConfigurationError) as caught:
        list(purger.empty("mails"))
    assert caught.value.sentence == 'This kind of broker ("SQS") cannot remove the messages of a queue.'
    assert caught.value.hint == "read its messages with a worker that has no such tasks: it drops them"


#: What one purge of the queue "mails" has to itself.
LOCK = "tasktools.purge." + hashlib.sha256(b"mails").hexdigest()[:32]


class Rabbit:
    """A RabbitMQ with queues of messages; `locked` and `forbidden` are queues that others have, or that nobody may make."""

    channel_errors = (NotFound, ResourceLocked, AccessRefused)

    def __init__(self, *names: str | None) -> None:
        self.transport = SimpleNamespace(driver_type="amqp", driver_name="py-amqp")
        self.queues: dict[str, list[Any]] = {"mails": list(map(sent, names))}
        self.locked: set[str] = set()
        self.forbidden = False
        self.channels: list[Channel] = []
        #: How many messages were acknowledged since the server has answered: it may not have done it yet.
        self.pending = 0
        #: What was done to the lock.
        self.calls: list[str] = []

    def channel(self) -> Channel:
        self.channels.append(Channel(self))
        return self.channels[-1]

    @property
    def waiting(self) -> list[str | None]:
        return [purge_amqp._task_of(each) for each in self.queues["mails"]]

    def queue_purge(self, queue: str) -> int:
        waiting, self.queues[queue] = self.queues[queue], []
        return len(waiting)


def sent(name: str | None, **more: Any) -> Any:
    headers = {} if name is None else {"task": name}
    return SimpleNamespace(properties={"application_headers": headers}, body="{}", **more)


class Channel:
    """A channel, whose messages go back if it is closed before they are acknowledged. An error closes it."""

    def __init__(self, server: Any) -> None:
        self.server, self.is_open, self.tags = server, True, 0
        self.taken: dict[int, Any] = {}

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.is_open and self.taken:
            self.server.queues["mails"][:0] = self.taken.values()
        self.is_open, self.taken = False, {}

    def queue_purge(self, queue: str) -> Any:
        return self.server.queue_purge(queue)

    def queue_declare(self, queue: str, **options: Any) -> Any:
        assert self.is_open
        if options == {"passive": True}:
            self.server.pending = 0
            if queue in self.server.queues:
                return SimpleNamespace(message_count=len(self.server.queues[queue]))
            self.is_open = False
            raise AccessRefused if queue == "refused" else NotFound
        assert options == {"exclusive": True, "auto_delete": False}
        self.server.calls.append("lock")
        if self.server.forbidden or queue in self.server.locked:
            self.is_open = False
            raise AccessRefused if self.server.forbidden else ResourceLocked
        return None

    def queue_delete(self, queue: str) -> None:
        assert queue == LOCK
        self.server.calls.append("unlock")
        if self.server.forbidden:
            raise AccessRefused

    def basic_get(self, queue: str) -> Any:
        if not self.server.queues[queue]:
            return None
        found = self.server.queues[queue].pop(0)
        self.tags += 1
        found.delivery_tag = self.tags
        self.taken[found.delivery_tag] = found
        return found

    def basic_ack(self, tag: int) -> None:
        del self.taken[tag]
        self.server.pending += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = SimpleNamespace(now=100.0, slept=[])
    made.monotonic = lambda: made.now
    made.sleep = lambda seconds: (made.slept.append(seconds), setattr(made, "now", made.now + seconds))
    monkeypatch.setattr(purge_amqp, "time", made)
    return made


def test_amqp__how_many_wait() -> None:
    server = Rabbit("a", "b")
    purger = AmqpPurger(server)
    assert (purger.supports_remove, purger.reads_tasks) == (True, False)
    assert [purger.length(each, is_declared=False) for each in ("mails", "none")] == [2, None]
    assert purger.length("none", is_declared=True) == 0
    with pytest.raises(AccessRefused):
        purger.length("refused", is_declared=True)
    assert not any(each.is_open for each in server.channels)


def test_amqp__empties_a_queue() -> None:
    server = Rabbit("a", "b")
    assert list(AmqpPurger(server).empty("mails")) == [2]
    assert (server.waiting, server.channels[0].is_open) == ([], False)
    assert list(AmqpPurger(server).empty("mails")) == [0]


def test_amqp__removes_one_task_and_keeps_the_order_of_the_rest(clock: Any) -> None:
    server = Rabbit("a", "drop", "b", "drop", None, "c")
    assert list(AmqpPurger(server).remove("mails", "drop")) == [2]
    assert (server.waiting, server.calls) == (["a", "b", None, "c"], ["lock", "unlock"])
    assert not any(each.is_open for each in server.channels)


def test_amqp__in_steps_that_may_be_the_last(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at and stays goes back."""
    get = Channel.basic_get

    def slow(self: Channel, queue: str) -> Any:
        clock.now += 0.25
        return get(self, queue)

    monkeypatch.setattr(Channel, "basic_get", slow)
    server = Rabbit("drop", "a", "b", "drop", "drop")
    steps = AmqpPurger(server).remove("mails", "drop")
    assert [(next(steps), server.pending) for _ in range(2)] == [(1, 0), (1, 0)]
    steps.close()  # type: ignore[attr-defined]
    assert server.waiting == ["a", "b", "drop"]
    assert list(AmqpPurger(Rabbit("drop", "a", "b", "drop", "drop")).remove("mails", "drop")) == [1, 1, 1]


def test_amqp__what_comes_meanwhile_is_not_looked_at(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    get = Channel.basic_get

    def push(self: Channel, queue: str) -> Any:
        self.server.queues[queue].append(sent("drop"))
        return get(self, queue)

    monkeypatch.setattr(Channel, "basic_get", push)
    server = Rabbit("drop", "a")
    assert sum(AmqpPurger(server).remove("mails", "drop")) == 1
    assert server.waiting == ["a", "drop", "drop"]


def test_amqp__others_take_what_was_counted(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Rabbit("drop", "drop", "drop")
    monkeypatch.setattr(Channel, "basic_get", lambda self, queue: None)
    assert list(AmqpPurger(server).remove("mails", "drop")) == [0]


def test_amqp__waits_for_another_purge(clock: Any) -> None:
    server = Rabbit("drop")
    server.locked = {LOCK}
    steps = AmqpPurger(server).remove("mails", "drop")
    assert [next(steps), next(steps)] == [0, 0]
    assert clock.slept == [purge_amqp._PAUSE] * 2
    server.locked = set()
    assert (list(steps), server.calls) == ([1], [*["lock"] * 3, "unlock"])


def test_amqp__does_not_wait_for_another_purge_forever(clock: Any) -> None:
    server = Rabbit("drop")
    server.locked = {LOCK}
    with pytest.raises(Declined) as caught:
        list(AmqpPurger(server).remove("mails", "drop"))
    assert caught.value.sentence == 'Another purge has held the messages of "mails" for 60 seconds.'
    assert caught.value.hint == "run the command again when it has ended"
    assert purge_amqp.WAIT < clock.now - 100 < purge_amqp.WAIT + 2
    assert server.waiting == ["drop"]


def test_amqp__a_user_that_may_not_make_queues_removes_all_the_same(clock: Any) -> None:
    server = Rabbit("drop", "a")
    server.forbidden = True
    assert list(AmqpPurger(server).remove("mails", "drop")) == [1]
    assert (server.waiting, server.calls) == (["a"], ["lock", "unlock"])


def test_amqp__after_an_error_nobody_waits_for_a_goodbye(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Channel, queue: str) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(Channel, "basic_get", fail)
    server = Rabbit("drop")
    with pytest.raises(ConnectionResetError):
        list(AmqpPurger(server).remove("mails", "drop"))
    assert (server.calls, server.channels[-1].is_open) == (["lock"], True)


@pytest.mark.parametrize(
    ("headers", "body", "name"),
    [
        ({"task": "shop.add"}, "{}", "shop.add"),
        (None, json.dumps({"task": "shop.add"}), "shop.add"),
        ({}, json.dumps({"task": "shop.add"}), "shop.add"),
        ({"task": 7}, "{}", None),
        ({}, json.dumps({"task": 7}), None),
        *(({}, body, None) for body in ("{}", "[]", "7", "no json", b"\xff", "[" * 100_000)),
    ],
)
def test_amqp__the_task_of_any_message(headers: Any, body: Any, name: str | None) -> None:
    message = SimpleNamespace(properties={"application_headers": headers} if headers is not None else {}, body=body)
    assert purge_amqp._task_of(message) == name
