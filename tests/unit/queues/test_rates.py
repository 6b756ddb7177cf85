from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.queues import rates
from tasktools.queues.rates import Flow, Sampler

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture
def keys(app: Any, queue: str) -> Iterator[Keys]:
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as connection:
        found = Keys(connection.default_channel)
        yield found
        found.client.delete(*found.lists(queue), f"{queue}-other")


@pytest.fixture
def sampler(keys: Keys, queue: str) -> Sampler:
    return Sampler(keys=keys, queues=[queue])


def push(keys: Keys, queue: str, *messages: str) -> None:
    for message in messages:
        keys.client.lpush(queue, message)


def test_sample__what_came_and_went(keys: Keys, queue: str, sampler: Sampler) -> None:
    push(keys, queue, "1", "2", "3")
    sampler.sample()
    push(keys, queue, "4", "5")
    keys.client.rpop(queue)
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=2, taken=1)}
    push(keys, queue, "6")
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=3, taken=1)}


def test_sample__nothing_happens(keys: Keys, queue: str, sampler: Sampler) -> None:
    sampler.sample()
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=0, taken=0)}


def test_sample__a_queue_that_was_empty_in_between(keys: Keys, queue: str, sampler: Sampler) -> None:
    """The message that was remembered is gone, and nobody knows how many came after it."""
    push(keys, queue, "1")
    sampler.sample()
    push(keys, queue, "2", "3")
    keys.client.rpop(queue, 2)
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=None, taken=None)}
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=None, taken=None)}


def test_sample__it_is_emptied_and_nothing_is_added(keys: Keys, queue: str, sampler: Sampler) -> None:
    push(keys, queue, "1", "2")
    sampler.sample()
    keys.client.rpop(queue, 2)
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=0, taken=2)}


def test_sample__an_empty_queue_while_another_one_gets_messages(keys: Keys, queue: str, sampler: Sampler) -> None:
    sampler.sample()
    push(keys, f"{queue}-other", "1")
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=None, taken=None)}


def test_sample__where_the_pushes_cannot_be_asked_for(keys: Keys, queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampler(keys=keys, queues=[queue], _may_ask=False)
    push(keys, queue, "1")
    sampler.sample()
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=None, taken=None)}  # the other priorities are empty


def test_sample__a_long_message_is_not_remembered(
    keys: Keys, queue: str, sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "_LONGEST", 3)
    push(keys, queue, "long")
    sampler.sample()
    push(keys, queue, "more")
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=None, taken=None)}


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes of messages each round trip has brought."""
    sizes: list[int] = []
    execute = redis.client.Pipeline.execute

    def spy(self: Any, *args: Any, **options: Any) -> Any:
        answers = execute(self, *args, **options)
        sizes.append(sum(len(each) for each in answers if isinstance(each, bytes)))
        return answers

    monkeypatch.setattr(redis.client.Pipeline, "execute", spy)
    return sizes


def test_sample__a_message_is_fetched_once(keys: Keys, queue: str, sampler: Sampler, fetched: list[int]) -> None:
    """Not at each sample: it may be long, and the list too."""
    push(keys, queue, *(f"{each}" + "x" * 10_000 for each in range(10)))
    for _ in range(5):
        sampler.sample()
    assert sum(fetched) == 10_001
    push(keys, queue, "new")
    sampler.sample()
    assert (sum(fetched), sampler.flows[queue]) == (10_001, Flow(added=1, taken=0))


def test_sample__a_newer_message_is_remembered_before_the_old_one_is_taken(
    keys: Keys, queue: str, sampler: Sampler
) -> None:
    push(keys, queue, "0", "1")
    for number in range(2, 30):
        sampler.sample()
        push(keys, queue, str(number))
        keys.client.rpop(queue)
    sampler.sample()
    assert sampler.flows == {queue: Flow(added=28, taken=28)}


def test_sample__a_queue_of_which_nothing_is_known_any_more_is_left_alone(
    keys: Keys, queue: str, sampler: Sampler, fetched: list[int]
) -> None:
    push(keys, queue, "1")
    sampler.sample()
    push(keys, queue, "2", "3")
    keys.client.rpop(queue, 2)
    sampler.sample()
    assert (sampler.flows, sampler.open) == ({queue: Flow(added=None, taken=None)}, [])
    before = len(fetched)
    sampler.sample()
    assert len(fetched) == before


def test_sample__a_long_message_is_not_fetched_again(
    keys: Keys, queue: str, sampler: Sampler, fetched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "_LONGEST", 3)
    push(keys, queue, "long")
    for _ in range(4):
        sampler.sample()
    assert (sum(fetched), sampler.flows) == (4, {queue: Flow(added=0, taken=0)})
