"""What a worker says of the messages that it has taken: what was seen, whatever Celery takes them for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tasktools.worker.settlement import Settlement


def request(channel: Any, *, acknowledged: bool = False) -> Any:
    message = SimpleNamespace(channel=channel, delivery_tag="tag", acknowledged=acknowledged)
    return SimpleNamespace(id="id", message=message, _on_reject=lambda *args, **options: None)


def remembering(*tags: str) -> Any:
    """Return a channel of kombu's own kind, which remembers what it has not put back."""
    return SimpleNamespace(qos=SimpleNamespace(_delivered=dict.fromkeys(tags)))


class Consumer:
    """A consumer whose connection is closed by `shutdown`."""

    def __init__(self, close: Callable[[Any], None], *, connected: bool = True) -> None:
        self.connection = SimpleNamespace(transport=SimpleNamespace(close_connection=close))
        self._amqp = SimpleNamespace(connected=connected)

    def shutdown(self) -> None:
        with contextlib.suppress(ConnectionError):  # as kombu does
            self.connection.transport.close_connection(self._amqp)


@pytest.fixture
def settlement() -> Settlement:
    return Settlement(Celery("test", broker="redis://", set_as_current=False), {})


@pytest.mark.parametrize(("remembered", "back"), [((), True), (("tag",), False)])
def test_is_back__what_kombu_has_put_back_it_does_not_remember(
    settlement: Settlement, remembered: tuple[str, ...], back: bool
) -> None:
    assert settlement.is_back(request(remembering(*remembered))) is back


def test_is_back__not_what_a_lost_connection_has_taken() -> None:
    lost = {"tag": object()}
    assert not Settlement(Celery("test", set_as_current=False), lost).is_back(request(remembering()))


def test_is_back__a_return_counts_once_the_broker_was_told(settlement: Settlement) -> None:
    given = request(remembering("tag"))
    settlement.note_return(given)
    given._on_reject(None, (), True)
    assert not settlement.is_back(given)
    given.message.acknowledged = True
    assert settlement.is_back(given)


def test_is_back__not_what_was_acknowledged_or_rejected_for_good(settlement: Settlement) -> None:
    done = request(remembering(), acknowledged=True)
    settlement.note_return(done)
    done._on_reject(None, (), False)
    assert not settlement.is_back(done)


def refuse(connection: Any) -> None:
    raise ConnectionResetError


@pytest.mark.parametrize(
    ("consumer", "back"),
    [
        (Consumer(lambda connection: None), True),
        (Consumer(lambda connection: None, connected=False), False),
        (Consumer(refuse), False),
    ],
    ids=["closed", "lost before", "lost at the close"],
)
def test_is_back__on_a_broker_that_pushes_when_it_has_confirmed_the_close(
    settlement: Settlement, consumer: Consumer, back: bool
) -> None:
    pushed = request(SimpleNamespace())
    assert not settlement.is_back(pushed)
    settlement.watch(consumer)
    consumer.shutdown()
    assert settlement.is_back(pushed) is back


def test_dropped__is_named_by_its_message() -> None:
    message = SimpleNamespace(headers={"task": "shop.tasks.add", "id": "1"})
    settlement = Settlement(Celery("test", set_as_current=False), {"tag": message})
    [dropped] = settlement.dropped(set())
    assert (dropped.name, dropped.id) == ("shop.tasks.add", "1")
    assert settlement.dropped({"1"}) == []


def test_give_back__restores_what_redis_holds_and_forgets_it(settlement: Settlement) -> None:
    restored: list[str] = []
    channel = remembering("1", "2")
    channel.qos.restore_by_tag = restored.append
    settlement.give_back(SimpleNamespace(task_consumer=SimpleNamespace(channel=channel)), 5)
    assert restored == ["2", "1"]  # each goes ahead of the one before
    assert channel.qos._delivered == {}


def test_give_back__keeps_in_mind_what_could_not_be_put_back(settlement: Settlement) -> None:
    def fail(tag: str) -> None:
        raise ConnectionError

    channel = remembering("tag")
    channel.qos.restore_by_tag = fail
    settlement.give_back(SimpleNamespace(task_consumer=SimpleNamespace(channel=channel)), 5)
    assert not settlement.is_back(request(channel))


def test_give_back__closes_the_connection_of_a_broker_that_pushes(settlement: Settlement) -> None:
    consumer = Consumer(lambda connection: None)
    consumer.connection.close = consumer.shutdown
    consumer.task_consumer = SimpleNamespace(channel=SimpleNamespace())
    settlement.give_back(consumer, 5)
    assert settlement.is_back(request(SimpleNamespace()))


@pytest.mark.parametrize(
    ("broker", "options", "sentence"),
    [
        ("redis://", {}, "after its visibility timeout, 3600 s."),
        ("redis://", {"visibility_timeout": 60}, "after its visibility timeout, 60 s."),
        ("amqp://", {}, "to another worker when it notices that this one has gone."),
    ],
)
def test_how_it_returns(broker: str, options: dict[str, Any], sentence: str) -> None:
    app = Celery("test", broker=broker, set_as_current=False)
    app.conf.broker_transport_options = options
    assert Settlement(app, {}).how_it_returns().endswith(sentence)
