"""Every key that is read or written: with a prefix, in another database, over TLS, behind Sentinel, as a restricted user."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Exchange, Queue

from tasktools import conf
from tasktools.arguments.call import Call
from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.portable import queue_length
from tasktools.exceptions import ArgumentError
from tasktools.publishing.batch import Publisher, enqueue_many
from tasktools.publishing.checkpoint import Progress, Run
from tasktools.queues import position
from tasktools.queues.by_task import by_task
from tasktools.queues.consumers import Readers
from tasktools.queues.look import look
from tasktools.queues.peek import peek
from tasktools.queues.rates import Sampler
from tests import servers
from tests.conftest import Ran

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

PREFIX = "site:"

#: Keys and channels of one site alone, and no command that is the administrator's.
RULES = "~site:* &site:* +@all -@admin -@dangerous +info"

KINDS = ("database", "prefix", "odd prefix", "user", "tls", "sentinel", "private")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A broker, as Celery's settings name it, and a client that sees all of its keys."""

    url: str
    client: Any
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        return str(self.options.get("global_keyprefix", ""))


def prefixed(prefix: str = PREFIX, **more: Any) -> dict[str, Any]:
    return {"global_keyprefix": prefix, **more}


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Redis]:
    with servers.started(servers.Redis, tmp_path_factory.mktemp("redis")) as started:
        yield started


@contextlib.contextmanager
def placed(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    if kind == "private":
        request.getfixturevalue("app").connection_for_write().default_channel.client.ping()  # starts it
        path = conf.data_dir() / "valkey.sock"
        client = redis.Redis(unix_socket_path=str(path), db=9)
        yield Place(url=f"redis+socket://{path}?virtual_host=9", options=prefixed(), client=client)
    elif kind == "user":
        with servers.started(servers.Redis, folder, user=("site", "secret", RULES)) as started:
            yield Place(url=started.url, options=prefixed(), client=started.client())
    elif kind == "tls":
        with servers.started(servers.Redis, folder, tls=True) as started:
            yield Place(url=started.url, options=prefixed(), client=started.client())
    elif kind == "sentinel":
        with servers.started(servers.Sentinel, folder) as started:
            yield Place(url=started.url, options=prefixed(**started.transport_options), client=started.master.client())
    else:
        started = request.getfixturevalue("plain_server")
        database, options = {
            "database": (3, {}),
            "prefix": (4, prefixed()),
            "odd prefix": (5, prefixed("{site}[1]*:")),
        }[kind]
        url = started.url.removesuffix("/0") + f"/{database}"
        yield Place(url=url, options=options, client=redis.Redis.from_url(url))


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(request.param, tmp_path_factory.mktemp("server"), request) as made:
        yield made
        made.client.close()


@pytest.fixture
def place(served: Place) -> Iterator[Place]:
    """The broker, without a key of the test before."""

    def clear() -> None:
        for key in keys(served):
            served.client.delete(key)

    clear()
    yield served
    clear()


def keys(place: Place) -> list[str]:
    return sorted(key.decode() for key in place.client.scan_iter("*", count=1000))


@pytest.fixture
def made(place: Place) -> Iterator[Celery]:
    app = Celery("keys", broker=place.url, set_as_current=False)
    app.conf.broker_transport_options = place.options

    @app.task(name="shop.add", shared=False, ignore_result=True)
    def add(x: int) -> None:
        pass

    yield app
    app.close()


CALLS = [Call(task="shop.add", args=(n,)) for n in range(10)]


def send_one(run: Run, publisher: Publisher) -> Progress:
    """Send ten calls as a batch of a run, and return where the run stood before."""
    before = run.load("digest", "shop.add")
    after = Progress(digest="digest", task="shop.add", line=before.line + 10, begun=before.line + 10, sent=10)
    publisher.send(CALLS, run.mark(before, after))
    return before


def test_mark_of_a_run__is_read_where_it_was_written(place: Place, made: Celery, tmp_path: Path) -> None:
    with Publisher(made) as publisher:
        run = Run("orders", publisher, tmp_path)
        assert [send_one(run, publisher).line for _ in range(3)] == [0, 10, 20]
        run.finish(run.load("digest", "shop.add"), Progress(digest="digest", task="shop.add", line=30, done=True))
        assert run.load("digest", "shop.add").done
    with pytest.raises(ArgumentError, match="Another process sends the same run"), Publisher(made) as publisher:
        publisher.send(CALLS, Run("orders", publisher, tmp_path).mark(Progress(digest="digest"), Progress(digest="d")))
    assert place.client.llen(f"{place.prefix}celery") == 30
    assert all(key.startswith(place.prefix) for key in keys(place))
    assert f"{place.prefix}tasktools:run:orders" in keys(place)


def test_length_of_a_queue__is_what_waits_in_it(place: Place, made: Celery) -> None:
    """EXISTS, by which kombu looks whether there is a queue, gets no prefix: each queue seemed to be empty."""
    list(enqueue_many(made, [*CALLS, Call(task="shop.add", args=(1,), options={"priority": 6})]))
    with Publisher(made) as publisher:
        assert publisher.length("celery") == 11
        assert publisher.length("nobody") == 0
    with made.connection_for_read() as connection:
        assert queue_length(connection, "celery") == 11


def test_message__is_found_in_its_queue_and_with_its_worker(made: Celery) -> None:
    calls = [Call(task="shop.add", args=(n,), options={"queue": f"new-{uuid.uuid4()}"}) for n in range(2)]
    made.amqp.queues  # noqa: B018 - as a worker of another project: it has declared what it reads
    for call in calls:
        with made.connection_for_write() as connection:
            Queue(call.options["queue"])(connection.default_channel).declare()
    [batch] = enqueue_many(made, calls)
    with made.connection_for_read() as connection:
        channel = connection.default_channel
        assert channel.basic_get(calls[1].options["queue"]) is not None
        found = position.find(broker_of(made), batch.ids).traces
        channel.close()
    assert [found[each].place for each in batch.ids] == ["queued", "reserved"]
    assert found[batch.ids[0]].queue == calls[0].options["queue"]


def test_look__finds_what_waits_and_what_is_taken(place: Place, made: Celery) -> None:
    options = ({"queue": "celery"}, {"queue": "celery", "priority": 9}, {"queue": "mails"}, {"queue": "mails"})
    list(enqueue_many(made, [Call(task="shop.add", args=(n,), options=each) for n, each in enumerate(options)]))
    place.client.rename(f"{place.prefix}mails", f"{place.prefix}moved")
    made.amqp.queues.pop("mails", None)
    with made.connection_for_read() as connection:
        channel = connection.default_channel
        assert channel.basic_get("celery") is not None
        found = {each.name: each for each in look(made, connection, Readers(silent=0)).queues}
        by_name = Keys(channel)
        assert [each.task for each in peek(by_name, "moved", 10)] == ["shop.add"] * 2
        *_, counted = by_task(by_name, "moved")
        sampler = Sampler(keys=by_name, queues=["celery", "moved"])
        sampler.sample()
        sampler.sample()
        channel.close()
    assert (counted.counts, counted.unread) == ({"shop.add": 2}, 0)
    assert (found["celery"].ready, found["celery"].unacked, found["celery"].later) == (1, 1, 0)
    assert (found["moved"].ready, found["moved"].is_declared, found["celery"].is_declared) == (2, False, True)
    assert found["mails"].ready == 0  # it is bound
    may_ask = "secret" not in place.url
    assert found["moved"].consumers == (0 if may_ask else None)
    assert sampler.flows["moved"].added == 0


def test_publish__reaches_subscribers_of_a_fanout_exchange(place: Place, made: Celery) -> None:
    fan = Exchange("fan", type="fanout")
    made.conf.task_queues = [Queue("copies", fan)]
    with place.client.pubsub() as listener:
        listener.psubscribe("*" if "*" in place.prefix else f"{place.prefix}*")
        assert listener.get_message(timeout=60)["type"] == "psubscribe"
        list(enqueue_many(made, [Call(task="shop.add", args=(1,), options={"queue": "copies"})]))
        message = listener.get_message(timeout=60)
    assert message is not None
    assert message["channel"].decode().startswith(f"{place.prefix}/")
    assert ".fan" in message["channel"].decode()


def test_queue_that_expires__does_so_at_its_full_name(place: Place, made: Celery) -> None:
    made.conf.task_queues = [Queue("brief", expires=600)]
    with made.connection_for_write() as connection:
        channel = connection.default_channel
        Queue("brief", expires=600)(channel).declare()
        knows = bool(getattr(channel, "_expires", None))  # kombu 5.6 and newer
    list(enqueue_many(made, [Call(task="shop.add", args=(1,), options={"queue": "brief"})] * 3))
    left = place.client.pttl(f"{place.prefix}brief")
    assert 590_000 < left <= 600_000 if knows else left == -1


def test_resumed_command__sends_each_line_once(
    place: Place, elsewhere: Callable[..., str], typed: Callable[..., Ran], tmp_path: Path
) -> None:
    name = elsewhere(broker_url=place.url, broker_transport_options=place.options)
    file = tmp_path / "calls.jsonl"
    line = '{"task": "celery.backend_cleanup"}\n'
    file.write_text(line * 7 + "broken\n" + line * 2)
    words = ("enqueue", "-A", name, "--from", str(file), "--resume", "run", "--batch-size", "3")
    assert typed(*words).code == 2
    assert place.client.llen(f"{place.prefix}celery") == 7
    again = typed(*words, "--skip-bad", str(tmp_path / "bad"))
    assert again.code == 0, again.err
    assert 'The run "run" goes on after line 7.' in again.err
    assert place.client.llen(f"{place.prefix}celery") == 9


def test_purge__takes_the_messages_of_one_task_and_then_the_rest(
    place: Place, made: Celery, elsewhere: Callable[..., str], typed: Callable[..., Ran]
) -> None:
    name = elsewhere(broker_url=place.url, broker_transport_options=place.options)
    for n in range(6):
        made.send_task("shop.add" if n % 2 else "shop.other", (n,), queue="celery")
    words = ("purgequeue", "celery", "-A", name, "--noinput")
    one = typed(*words, "--task", "shop.add")
    assert (one.code, one.out.split()[-3:]) == (0, ["celery", "3", "3"]), one.err
    tasks = [json.loads(raw)["headers"]["task"] for raw in place.client.lrange(f"{place.prefix}celery", 0, -1)]
    assert tasks == ["shop.other"] * 3
    assert typed(*words).out.split()[-3:] == ["celery", "3", "0"]
    assert [key for key in keys(place) if "celery" in key and "binding" not in key] == []


def test_user_that_may_not_write_the_mark__is_told_which_key_to_allow(
    tmp_path: Path, elsewhere: Callable[..., str], typed: Callable[..., Ran]
) -> None:
    rules = "~celery* ~_kombu* ~unacked* &* +@all"
    with servers.started(servers.Redis, tmp_path / "redis", user=("site", "secret", rules)) as started:
        name = elsewhere(broker_url=started.url)
        file = tmp_path / "calls.jsonl"
        file.write_text('{"task": "celery.backend_cleanup"}\n')
        assert typed("enqueue", "-A", name, "--from", str(file)).code == 0
        refused = typed("enqueue", "-A", name, "--from", str(file), "--resume", "run")
    assert refused.code == 2
    assert 'The broker\'s user may not read the key "tasktools:run:run", in which --resume keeps' in refused.err
    assert "Hint: allow the user that key" in refused.err
    assert "secret" not in refused.err
