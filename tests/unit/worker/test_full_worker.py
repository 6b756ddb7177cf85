"""A pause of a worker that may reserve no more while its BRPOP waits: kombu does not read the answer then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.queues.pauses import QUEUE, Pause, utc_now
from tasktools.worker.held_back import HeldBack
from tasktools.worker.known_pauses import Known
from tasktools.worker.one_queue import AskedQueue
from tasktools.worker.sent_away import Mover
from tests.commands.conftest import queue, server_that_ends_with_the_suite
from tests.support import wait_for

__all__ = ["queue", "server_that_ends_with_the_suite"]

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


class Full:
    """A channel with two messages; a BRPOP asks for the third one, which the worker may reserve no longer."""

    def __init__(self, connection: Any, other: Keys, queue: str) -> None:
        self.channel: Any = connection.default_channel
        self.keys, self.name, self.got, self.known = other, queue, list[Any](), Known()
        self.channel.queue_declare(queue)
        self.channel.qos.prefetch_count = 3
        self.channel.basic_consume(queue, False, self._receive, "tag")
        tasks: Any = SimpleNamespace(
            channel=self.channel, queues=[SimpleNamespace(name=queue)], _active_tags={queue: "tag"}
        )
        self.queue = AskedQueue(SimpleNamespace(task_consumer=tasks))  # type: ignore[arg-type]
        self._mover = Mover(HeldBack(lambda place: None), lambda: self.known)
        self._queues = tasks.queues
        self.send(1, 2)
        for _ in range(2):
            connection.drain_events(timeout=60)
        connection.transport.cycle.on_poll_start()
        assert self.channel._in_poll
        self.channel.qos.prefetch_count = 2

    def send(self, *numbers: int) -> None:
        for number in numbers:
            properties = {"delivery_tag": f"tag-{number}", "delivery_info": {"exchange": "", "routing_key": self.name}}
            raw = {"body": str(number), "headers": {}, "properties": properties}
            self.keys.client.lpush(self.keys.lists(self.name)[0], json.dumps(raw))

    def _receive(self, message: Any) -> None:
        self.got.append(message)
        if self.known.holds(self.name):
            self.queue.refuse(message, self.name)

    def pause(self) -> None:
        self.known.change([Pause(what=QUEUE, name=self.name, since=utc_now())], [])
        for each in self.got:
            self.queue.refuse(each, self.name)

    def carry_out(self) -> bool:
        self.channel.connection.cycle.on_poll_start()  # as the worker's loop does in each turn
        return self._mover.carry_out(self.queue, self._queues)

    def waiting(self) -> list[str]:
        """Return what waits, the next one first."""
        return [
            json.loads(each)["body"] for each in reversed(self.keys.client.lrange(self.keys.lists(self.name)[0], 0, -1))
        ]


@pytest.fixture
def full(app: Any, queue: str) -> Iterator[Full]:
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as other, app.connection_for_read() as connection:
        keys = Keys(other.default_channel)
        yield Full(connection, keys, queue)
        keys.client.delete(*keys.lists(queue))


def test_full_worker__gives_back_when_its_idle_request_has_ended(full: Full) -> None:
    full.pause()
    assert not full.carry_out()
    wait_for(full.carry_out)
    assert full.waiting() == ["1", "2"]


def test_full_worker__gives_back_what_its_request_has_popped_after_the_older_ones(full: Full) -> None:
    full.pause()
    full.send(3, 4)
    wait_for(full.carry_out)
    assert full.waiting() == ["1", "2", "3", "4"]


def test_full_worker__whose_pause_ends_meanwhile_takes_again(full: Full) -> None:
    full.pause()
    assert not full.carry_out()
    full.known.change([], [Pause(what=QUEUE, name=full.name, since=utc_now())])
    wait_for(full.carry_out)
    full.channel.connection.drain_events(full.channel.connection, timeout=60)
    assert [each.body for each in full.got][2:] == [b"1"]


def test_worker_with_a_free_place__leaves_the_answer_to_kombu(full: Full) -> None:
    full.channel.qos.prefetch_count = 3
    full.pause()
    full.send(3)
    wait_for(full.channel._in_poll.can_read)
    assert not full.carry_out()
    assert len(full.got) == 2
