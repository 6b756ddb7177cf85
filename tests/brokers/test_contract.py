"""What every adapter of a broker keeps, whatever kombu's transport can do."""

from __future__ import annotations

import datetime
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tasktools.arguments.call import Call
from tasktools.brokers import broker_of
from tasktools.brokers.amqp import AmqpBroker
from tasktools.brokers.base import Broker, Trace
from tasktools.brokers.portable import PortableBroker
from tasktools.brokers.reach import check_broker
from tasktools.brokers.redis import RedisBroker
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.publishing.single import publish
from tasktools.queues import position
from tests.support import refusing_port, silent_port

LIMIT = 30.0

Make = Callable[..., Any]


def find(broker: Broker, task_id: str) -> Trace | None:
    return position.find(broker, [task_id]).traces.get(task_id)


@pytest.fixture
def make() -> Iterator[Make]:
    """Make apps with a queue of their own that are gone after the test: Celery remembers every app that lives."""
    made: list[Any] = []

    def make(**conf: Any) -> Any:
        app = Celery("contract", set_as_current=False)
        app.conf.update({"task_default_queue": f"contract-{uuid.uuid4()}", **conf})
        made.append(app)
        return app

    yield make
    for each in made:
        each.close()


def redis_conf(suite: Any, folder: Path) -> dict[str, Any]:
    return {"broker_url": suite.conf.broker_url}


def memory_conf(suite: Any, folder: Path) -> dict[str, Any]:
    return {"broker_url": "memory://"}


def filesystem_conf(suite: Any, folder: Path) -> dict[str, Any]:
    folders = {"data_folder_in": "data", "data_folder_out": "data", "control_folder": "control"}
    for name in set(folders.values()):
        (folder / name).mkdir()
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {option: str(folder / name) for option, name in folders.items()},
    }


CONFS = {"redis": redis_conf, "memory": memory_conf, "filesystem": filesystem_conf}


@pytest.fixture(params=CONFS)
def sender(request: pytest.FixtureRequest, make: Make, suite_site: Any, app: Any, tmp_path: Path) -> Any:
    """An app on each kind of broker. The private Valkey is the suite's own, which ends it when the tests are over."""
    return make(**CONFS[request.param](app, tmp_path))


def send(app: Any, **options: Any) -> str:
    """Send a task call as enqueue does, and return its id."""
    return publish(app, Call(task="contract.task", args=(1,), options=options)).id


def queued(queue: str) -> Trace:
    return Trace(place="queued", queue=queue, task="contract.task", position=1)


def queue_of(app: Any) -> str:
    return str(app.conf.task_default_queue)


def test_broker_of__chooses_the_adapter(sender: Any) -> None:
    broker = broker_of(sender)
    assert isinstance(broker, Broker)
    kind = RedisBroker if "socket" in sender.conf.broker_url else PortableBroker
    assert type(broker) is kind


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://localhost:1/0", RedisBroker),
        ("rediss://localhost:1/0?ssl_cert_reqs=required", RedisBroker),
        ("redis+socket:///nowhere", RedisBroker),
        ("sentinel://localhost:1", RedisBroker),
        ("amqp://localhost:1", AmqpBroker),
        ("memory://", PortableBroker),
    ],
)
def test_broker_of__by_the_url(make: Make, url: str, kind: type) -> None:
    assert type(broker_of(make(broker_url=url))) is kind


def test_broker_of__a_kind_that_kombu_does_not_know(make: Make) -> None:
    with pytest.raises(ConfigurationError) as caught:
        broker_of(make(broker_url="nosuch://user:secret@host"))
    assert caught.value.sentence.startswith('The broker "nosuch://user:**@host" is of no kind that kombu knows: ')
    assert "secret" not in caught.value.sentence
    assert caught.value.hint == "set CELERY_BROKER_URL to a URL such as redis://localhost:6379/0 or amqp://localhost"


def test_uri__is_the_url_as_a_stock_celery_writes_it(sender: Any) -> None:
    expected = sender.conf.broker_url.replace("tasktools+socket://", "redis+socket://")
    assert broker_of(sender).uri() == expected


@pytest.mark.parametrize("scheme", ["redis", "memory", "filesystem", "amqp"])
def test_uri__hides_the_password(make: Make, scheme: str) -> None:
    app = make(broker_url=f"{scheme}://user:sec@ret@host:1/0")
    assert broker_of(app).uri() == f"{scheme}://user:**@host:1/0"


def test_uri__is_the_one_that_is_written_to(make: Make) -> None:
    app = make(broker_url="redis://:one@read:1/0", broker_write_url="redis://:two@write:1/0")
    assert broker_of(app).uri() == "redis://:**@write:1/0"


def test_uri__of_several_hides_every_password(make: Make) -> None:
    app = make(broker_url="redis://:one@first:1/0;redis://:two@second:1/0")
    assert broker_of(app).uri() == "redis://:**@first:1/0;redis://:**@second:1/0"


def test_uri__without_a_url_is_what_celery_takes(make: Make) -> None:
    assert broker_of(make()).uri() == "amqp://guest:**@localhost:5672//"


def test_ping__returns_when_the_broker_answers(sender: Any) -> None:
    assert broker_of(sender).ping(LIMIT) is None


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_ping__a_port_where_nobody_listens(make: Make, scheme: str) -> None:
    port = refusing_port()
    app = make(broker_url=f"{scheme}://user:secret@127.0.0.1:{port}/0")
    with pytest.raises(Unreachable) as caught:
        check_broker(app, LIMIT)
    subject = re.escape(f'The broker "{scheme}://user:**@127.0.0.1:{port}/0" cannot be reached: ')
    assert re.fullmatch(rf"{subject}.*\bConnection refused\.", caught.value.sentence)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_ping__a_port_that_accepts_and_is_silent(make: Make, scheme: str) -> None:
    with silent_port() as port:
        app = make(broker_url=f"{scheme}://user:secret@127.0.0.1:{port}/0")
        started = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            check_broker(app, 0.5)
    assert time.monotonic() - started < 20
    assert caught.value.sentence.startswith(f'The broker "{scheme}://user:**@127.0.0.1:{port}/0" ')
    assert "secret" not in str(caught.value)


def test_publishing_connection__is_connected(sender: Any) -> None:
    with broker_of(sender).publishing_connection(LIMIT) as connection:
        assert connection.connected
        assert connection.default_channel.connection is not None


def test_publishing_connection__can_publish(sender: Any) -> None:
    body = {"number": 1, "text": "grün"}
    with broker_of(sender).publishing_connection(LIMIT) as connection:
        queue = connection.SimpleQueue(queue_of(sender))
        queue.put(body)
        message = queue.get(block=False)
        assert message.payload == body
        message.ack()
        queue.close()


def test_publishing_connection__keeps_the_app_s_own_options(make: Make, app: Any, suite_site: Any) -> None:
    broker = broker_of(make(broker_url=app.conf.broker_url, broker_transport_options={"visibility_timeout": 77}))
    with broker.publishing_connection(LIMIT) as connection:
        assert connection.default_channel.visibility_timeout == 77
        assert connection.transport_options["socket_timeout"] == LIMIT


def test_publish__the_message_is_one_that_a_worker_takes(sender: Any) -> None:
    task_id = send(sender)
    with broker_of(sender).publishing_connection(LIMIT) as connection:
        message = connection.default_channel.basic_get(queue_of(sender), no_ack=True)
    message = connection.default_channel.message_to_python(message) if isinstance(message, dict) else message
    assert (message.headers["id"], message.headers["task"]) == (task_id, "contract.task")
    assert message.decode()[0] == [1]


def test_find__is_declared_where_it_can(sender: Any) -> None:
    broker = broker_of(sender)
    assert broker.supports_find is isinstance(broker, RedisBroker)


@pytest.fixture
def finder(make: Make, suite_site: Any, app: Any) -> Any:
    """An app on the one kind of broker whose queues can be read."""
    return make(broker_url=app.conf.broker_url)


def test_find__queued(finder: Any) -> None:
    task_id = send(finder)
    assert find(broker_of(finder), task_id) == queued(queue_of(finder))


def test_find__takes_nothing(finder: Any) -> None:
    task_id = send(finder)
    assert [find(broker_of(finder), task_id) for _ in range(2)] == [queued(queue_of(finder))] * 2


@pytest.mark.parametrize("task_id", ["no such id", "contract.task", "utf-8", "id"])
def test_find__none(finder: Any, task_id: str) -> None:
    send(finder)
    assert find(broker_of(finder), task_id) is None


def test_find__none_for_a_part_of_an_id(finder: Any) -> None:
    task_id = send(finder)
    assert find(broker_of(finder), task_id[:-1]) is None


@pytest.mark.parametrize("relation", ["root_id", "parent_id", "group_id"])
def test_find__none_for_what_a_queued_one_came_from(finder: Any, relation: str) -> None:
    send(finder, **{relation: "the one before"})
    assert find(broker_of(finder), "the one before") is None


def test_find__an_id_with_quotes_and_umlauts(finder: Any) -> None:
    task_id = send(finder, task_id='my "own" ïd')
    assert find(broker_of(finder), task_id) == queued(queue_of(finder))


def test_find__reserved_until_it_is_acknowledged(finder: Any) -> None:
    task_id = send(finder)
    broker = broker_of(finder)
    with broker.publishing_connection(LIMIT) as connection:
        message = connection.default_channel.basic_get(queue_of(finder))
        assert find(broker, task_id) == Trace(place="reserved", task="contract.task")
        connection.default_channel.basic_ack(message.delivery_tag)
        assert find(broker, task_id) is None


def test_find__reserved_by_a_consumer(finder: Any) -> None:
    task_id = send(finder)
    broker = broker_of(finder)
    with broker.publishing_connection(LIMIT) as connection:
        queue = connection.SimpleQueue(queue_of(finder))
        queue.get(timeout=LIMIT)
        assert find(broker, task_id) == Trace(place="reserved", task="contract.task")
        queue.close()


def test_find__queued_again_when_who_took_it_has_gone(finder: Any) -> None:
    task_id = send(finder)
    broker = broker_of(finder)
    connection = broker.publishing_connection(LIMIT)
    connection.default_channel.basic_get(queue_of(finder))
    connection.release()
    assert find(broker, task_id) == queued(queue_of(finder))


@pytest.mark.parametrize("priority", [0, 3, 6, 9])
def test_find__queued_with_a_priority(finder: Any, priority: int) -> None:
    task_id = send(finder, priority=priority)
    assert find(broker_of(finder), task_id) == queued(queue_of(finder))


def test_find__queued_with_priorities_of_the_app_s_own(make: Make, app: Any, suite_site: Any) -> None:
    options = {"priority_steps": [0, 1, 2, 9], "sep": ":"}
    finder = make(broker_url=app.conf.broker_url, broker_transport_options=options)
    task_id = send(finder, priority=2)
    assert find(broker_of(finder), task_id) == queued(queue_of(finder))


def test_find__when_it_is_to_run(finder: Any) -> None:
    eta = datetime.datetime(2030, 1, 31, 18, tzinfo=datetime.timezone.utc)
    trace = find(broker_of(finder), send(finder, eta=eta))
    assert trace is not None
    assert trace.eta == "2030-01-31T18:00:00+00:00"


def test_find__queued_in_another_queue_of_the_app(make: Make, app: Any, suite_site: Any) -> None:
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    finder = make(broker_url=app.conf.broker_url, task_queues={one: {}, two: {}}, task_default_queue=one)
    task_id = send(finder, queue=two)
    assert find(broker_of(finder), task_id) == queued(two)


def test_find__queued_by_another_process_in_a_queue_that_was_made_for_it(make: Make, app: Any, suite_site: Any) -> None:
    asker, other = make(broker_url=app.conf.broker_url), make(broker_url=app.conf.broker_url)
    task_id = send(other, queue="made-for-it")
    assert find(broker_of(asker), task_id) == queued("made-for-it")


def test_find__with_prefixed_keys(make: Make, app: Any, suite_site: Any) -> None:
    finder = make(broker_url=app.conf.broker_url, broker_transport_options={"global_keyprefix": "mine:"})
    task_id = send(finder)
    broker = broker_of(finder)
    assert find(broker, task_id) == queued(queue_of(finder))
    with broker.publishing_connection(LIMIT) as connection:
        connection.default_channel.basic_get(queue_of(finder))
        assert find(broker, task_id) == Trace(place="reserved", task="contract.task")


def test_find__of_a_long_queue_both_ends_are_read(finder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "MOST_READ", 4)
    ids = [send(finder) for _ in range(6)]
    found = [find(broker_of(finder), task_id) is not None for task_id in ids]
    assert found == [True, True, False, False, True, True]


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_find__of_a_queue_that_is_not_long_all_is_read(
    finder: Any, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(position, "MOST_READ", 4)
    ids = [send(finder) for _ in range(length)]
    assert all(find(broker_of(finder), task_id) for task_id in ids)


def test_suite__the_ready_made_app_is_on_the_private_server(app: Any, suite_site: Any) -> None:
    broker = broker_of(app)
    assert type(broker) is RedisBroker
    assert broker.uri().startswith("redis+socket:///")
    broker.ping(LIMIT)
