"""What a worker gives back of its own accord is the next message that a worker takes: Redis and Valkey have two ends."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.transport.virtual import Message

from tasktools.brokers.keys import Keys
from tasktools.worker import delivery, reconnect
from tasktools.worker.settlement import Settlement

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture
def taken(keys: Keys, queue: str) -> list[Any]:
    """Have two messages of three taken, as a worker's channel does it; 3 waits."""
    for number in (1, 2, 3):
        keys.channel.queue_declare(queue)
        properties = {"delivery_tag": f"tag-{number}", "delivery_info": {"exchange": "", "routing_key": queue}}
        raw = {"body": str(number), "headers": {}, "properties": properties}
        keys.client.lpush(keys.lists(queue)[0], json.dumps(raw))
    found = []
    for _ in range(2):
        message = Message(json.loads(keys.client.rpop(keys.lists(queue)[0])), channel=keys.channel)
        keys.channel.qos.append(message, message.delivery_tag)
        found.append(message)
    return found


def next_ones(keys: Keys, queue: str) -> list[str]:
    """Take what waits, as BRPOP does."""
    return [json.loads(each)["body"] for each in iter(lambda: keys.client.rpop(keys.lists(queue)[0]), None)]


def is_settled(keys: Keys, message: Any) -> bool:
    keys.channel.qos._flush()
    held = keys.client.hexists(keys.full(keys.channel.unacked_key), message.delivery_tag)
    return bool(message.acknowledged and not held and message.delivery_tag not in keys.channel.qos._delivered)


def test_refused_message__is_the_next_one(keys: Keys, queue: str, taken: list[Any]) -> None:
    consumer: Any = SimpleNamespace(task_consumer=SimpleNamespace(channel=keys.channel))
    taken[0].ack()
    delivery.Asked(consumer, lambda: False, None).refuse(taken[1])
    assert is_settled(keys, taken[1])
    assert next_ones(keys, queue) == ["2", "3"]


def test_reserved_messages_of_a_lost_connection__are_the_next_ones_in_their_order(
    keys: Keys, queue: str, taken: list[Any]
) -> None:
    rescue: Any = reconnect.Rescue.__new__(reconnect.Rescue)
    rescue._consumer = SimpleNamespace(connection_errors=(), channel_errors=())
    rescue._kept = {each.delivery_tag: each for each in taken}
    rescue._requests, rescue._handed, rescue._unheard = {}, set(), set()
    rescue._give_back()
    assert all(is_settled(keys, each) for each in taken)
    assert next_ones(keys, queue) == ["1", "2", "3"]


def test_reserved_messages_of_a_channel_that_closes__are_the_next_ones_in_their_order(
    keys: Keys, queue: str, taken: list[Any]
) -> None:
    qos = keys.channel.qos
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qos, "restore_unacked", qos.restore_unacked)  # what the wrap sets is taken off again
        delivery.give_back_in_order(keys.channel)
        qos.restore_unacked()
    assert all(each.delivery_tag not in qos._delivered for each in taken)
    assert next_ones(keys, queue) == ["1", "2", "3"]


def test_reserved_messages_of_a_worker_that_is_cut_off__are_the_next_ones_in_their_order(
    keys: Keys, queue: str, taken: list[Any]
) -> None:
    consumer: Any = SimpleNamespace(task_consumer=SimpleNamespace(channel=keys.channel))
    Settlement.__new__(Settlement)._give_back(consumer)
    assert next_ones(keys, queue) == ["1", "2", "3"]
