"""Failed tasks are sent again on every kind of broker: as they came, to where they came from."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from django.db import transaction
from django.utils import timezone
from kombu import Exchange, Queue
from kombu.common import Broadcast

from tasktools.brokers.once import send_once
from tasktools.brokers.timeouts import within_thread
from tasktools.exceptions import Unreachable
from tasktools.failures import retry
from tasktools.failures.message import Kept, kept
from tasktools.failures.retry import Retrier, again
from tasktools.failures.sending import Sender
from tasktools.models import FailedTask, State
from tests.brokers.test_contract import filesystem_conf
from tests.failed import fail, taken
from tests.servers import RabbitMQ, Redis, started
from tests.support import refusing_port

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = ("redis", "prefix", "memory", "filesystem", "amqp")


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Start servers when they are asked for."""
    with contextlib.ExitStack() as stack:
        found: dict[str, str] = {}

        def url(kind: str) -> str:
            if kind not in found:
                server = {"amqp": RabbitMQ, "redis": Redis}[kind]
                found[kind] = stack.enter_context(started(server, tmp_path_factory.mktemp(kind))).url
            return found[kind]

        yield url


@pytest.fixture
def made(urls: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Make apps with a queue of their own."""
    apps: list[Any] = []

    def make(kind: str, **conf: Any) -> Any:
        app = Celery("again", set_as_current=False)
        own: dict[str, Any] = {"task_default_queue": f"again-{uuid.uuid4()}"}
        if kind == "filesystem":
            own |= filesystem_conf(None, tmp_path)
        elif kind == "memory":
            own |= {"broker_url": "memory://"}
        else:
            own |= {"broker_url": urls("amqp" if kind == "amqp" else "redis")}
        if kind == "prefix":
            own |= {"broker_transport_options": {"global_keyprefix": "site:"}}
        app.conf.update({**own, **conf})
        apps.append(app)
        return app

    yield make
    for each in apps:
        each.close()


def first(app: Any, *args: Any, queue: str = "", **options: Any) -> Any:
    """Send a call and take its message, as a worker does."""
    app.send_task("shop.tasks.add", args, **({"queue": queue} if queue else {}), **options)
    return taken(app, queue or app.conf.task_default_queue)


def body_of(message: Any) -> bytes:
    return kept(message).body or b""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", [None, "bzip2"])
def test_again__is_as_it_came(made: Any, kind: str, compression: str | None) -> None:
    app = made(kind)
    options = {"priority": 3, "headers": {"mine": {"deep": [1, "é"]}}, "compression": compression, "expires": 3600}
    before = first(app, 1, "ü", **options)
    row = fail(before, queue=app.conf.task_default_queue)
    row.refresh_from_db()
    ((_, old, new),) = again(app, [row.pk], "me").sent
    after = taken(app, app.conf.task_default_queue)
    own = {"id": new, "root_id": new, "tasktools_retry_of": old, "tasktools_failures": 1}
    assert after.headers == {**before.headers, **own}
    assert body_of(after) == body_of(before)
    assert (after.content_type, after.content_encoding) == (before.content_type, before.content_encoding)
    one, two = (dict(kept(each).properties) for each in (before, after))
    for each in (one, two):
        each.pop("application_headers", None)
    assert two == {**one, "correlation_id": new}
    for name in ("exchange", "routing_key"):
        assert after.delivery_info[name] == before.delivery_info[name]
    row.refresh_from_db()
    assert row.state == State.SENT


@pytest.mark.parametrize("kind", KINDS)
def test_again__of_many(made: Any, kind: str) -> None:
    app = made(kind)
    row = fail(first(app, 1), queue=app.conf.task_default_queue)
    rows = [row, *(fail(Kept.read(row.message, row.body), queue=row.queue, task_id=f"id-{n}") for n in range(19))]
    done = again(app, [each.pk for each in rows], "me")
    assert [old for _, old, _ in done.sent] == [each.task_id for each in rows]
    assert {taken(app, row.queue).headers["id"] for _ in rows} == {new for _, _, new in done.sent}


@pytest.mark.parametrize("kind", ["redis", "prefix", "memory", "amqp"])
def test_again__by_a_topic_exchange(made: Any, kind: str) -> None:
    name = f"topic-{uuid.uuid4()}"
    queues = [Queue(f"{name}-q", Exchange(name, type="topic"), routing_key="news.#")]
    app = made(kind, task_queues=queues)
    before = first(app, queue=f"{name}-q", routing_key="news.today")
    row = fail(before, queue=f"{name}-q")
    fresh = made(kind, task_queues=queues)  # another process, whose kombu has declared nothing
    assert len(again(fresh, [row.pk], "me").sent) == 1
    after = taken(app, f"{name}-q")
    assert (after.delivery_info["exchange"], after.delivery_info["routing_key"]) == (name, "news.today")


@pytest.mark.parametrize("kind", ["redis", "amqp"])
def test_again__if_its_exchange_is_no_longer_declared(made: Any, kind: str) -> None:
    """It goes to its queue."""
    name = f"gone-{uuid.uuid4()}"
    app = made(kind, task_queues=[Queue(f"{name}-q", Exchange(name, type="topic"), routing_key="news.#")])
    row = fail(first(app, queue=f"{name}-q", routing_key="news.today"), queue=f"{name}-q")
    assert len(again(made(kind), [row.pk], "me").sent) == 1
    after = taken(app, f"{name}-q")
    assert (after.delivery_info["exchange"], after.delivery_info["routing_key"]) == ("", f"{name}-q")


@pytest.mark.parametrize("kind", ["redis", "amqp"])
def test_again__if_neither_exchange_nor_queue_is_known(made: Any, kind: str) -> None:
    app = made(kind)
    before = kept(first(app))
    lost = Kept.read(before.text().replace('"exchange": ""', '"exchange": "gone"'), before.body)
    row = fail(lost, queue="")
    done = again(app, [row.pk], "me")
    assert done.refused == [(row.pk, "neither its exchange nor its queue is known here")]
    row.refresh_from_db()
    assert row.state == State.FAILED


@pytest.mark.parametrize("kind", ["redis", "amqp"])
def test_again__a_queue_that_was_deleted_is_made(made: Any, kind: str) -> None:
    app = made(kind)
    name = f"new-{uuid.uuid4()}"
    row = fail(first(app, queue=name, routing_key=name), queue=name)
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(name)
    fresh = made(kind)
    assert len(again(fresh, [row.pk], "me").sent) == 1
    assert taken(app, name).headers["tasktools_retry_of"] == row.task_id


def test_again__without_a_queue_that_may_not_be_made(made: Any) -> None:
    """A RabbitMQ drops a message for a queue that is not there."""
    app = made("amqp")
    row = fail(first(app), queue=app.conf.task_default_queue)
    name = f"never-{uuid.uuid4()}"
    row.message = row.message.replace(app.conf.task_default_queue, name)
    row.save()
    done = again(made("amqp", task_create_missing_queues=False), [row.pk], "me")
    assert done.refused == [(row.pk, f'there is no queue "{name}"')]


@pytest.mark.parametrize("kind", ["redis", "amqp"])
def test_again__of_a_broadcast(made: Any, kind: str) -> None:
    name = f"all-{uuid.uuid4()}"
    usual = {"task_default_queue": f"again-{uuid.uuid4()}"}  # its name is the routing key of a broadcast
    app = made(kind, task_queues=[Broadcast(name)], **usual)
    queue = app.amqp.queues[name]
    before = kept(first(made(kind, **usual)))
    text = before.text().replace('"exchange": ""', f'"exchange": "{name}"')
    row = fail(Kept.read(text, before.body), queue=queue.name)
    with app.connection_for_write() as connection:
        queue(connection.default_channel).declare()
        got: list[Any] = []
        with app.amqp.Consumer(connection, queues=[queue], callbacks=[lambda _, each: got.append(each)], no_ack=True):
            for _ in range(3):  # on Redis, its subscription begins with the first wait
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.3)
            assert len(again(made(kind, task_queues=[Broadcast(name)], **usual), [row.pk], "me").sent) == 1
            while not got:
                connection.drain_events(timeout=10)
    assert [each.headers["tasktools_retry_of"] for each in got] == [row.task_id]


@pytest.mark.parametrize(("confirms", "states"), [(False, ["sent", "sending", "failed"]), (True, ["sending"] * 3)])
def test_again__a_broker_that_breaks_off(
    made: Any, monkeypatch: pytest.MonkeyPatch, confirms: bool, states: list[str]
) -> None:
    """What was certainly not sent is given back. Without a confirm, nobody knows of a message that was begun."""
    app = made("amqp" if confirms else "memory")
    row = fail(first(app), queue=app.conf.task_default_queue)
    rows = [row, *(fail(Kept.read(row.message, row.body), queue=row.queue, task_id=f"id-{n}") for n in range(2))]
    publish, calls = Sender._publish, [0]

    def breaking(self: Any, *args: Any) -> None:
        calls[0] += 1
        if calls[0] == (3 if confirms else 2):
            raise ConnectionResetError("gone")
        publish(self, *args)

    monkeypatch.setattr(Sender, "_publish", breaking)
    with pytest.raises(Unreachable):
        again(app, [each.pk for each in rows], "me")
    assert list(FailedTask.objects.order_by("pk").values_list("state", flat=True)) == states


@pytest.mark.parametrize("is_again", [False, True])
def test_doubt__is_only_sent_when_it_is_asked_for(
    made: Any, run_command: Any, elsewhere: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_again: bool
) -> None:
    """No other broker than Redis says whether a message was sent."""
    monkeypatch.setattr(retry, "LEASE", 0.1)
    app = made("filesystem")
    row = fail(first(app), queue=app.conf.task_default_queue)
    long_ago = timezone.now() - timedelta(seconds=retry.LONG_LEASE + 1)
    FailedTask.objects.update(state=State.SENDING, new_id="claimed", sent_by="dead", sent_again_at=long_ago)
    conf = {"broker_url": "filesystem://", "broker_transport_options": app.conf.broker_transport_options}
    done = run_command("retryfailed", "--all", *(["--again"] * is_again), app=elsewhere(**conf))
    row.refresh_from_db()
    if is_again:
        assert (done.code, row.state) == (0, State.SENT)
        assert taken(app, row.queue).headers["id"] == "claimed"
    else:
        assert (done.code, row.state) == (1, State.SENDING)
        assert "is in doubt: another process was sending it, and this broker does not say whether it has" in done.err


def test_finish__of_what_cannot_be_sent_leaves_it(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process may have sent it."""
    monkeypatch.setattr(retry, "LEASE", 0)
    app = made("redis")
    row = fail(first(app), queue="")
    FailedTask.objects.update(state=State.SENDING, new_id="claimed", sent_again_at=timezone.now(), body=None)
    with Sender(app) as sender:
        done = Retrier(sender, "me").finish([row.pk])
    assert [pk for pk, _ in done.refused] == [row.pk]
    row.refresh_from_db()
    assert row.state == State.SENDING


def test_again__a_user_who_may_not_write_the_key(made: Any, urls: Callable[[str], str]) -> None:
    app = made("redis")
    row = fail(first(app), queue=app.conf.task_default_queue)
    with redis.Redis.from_url(urls("redis")) as client:
        client.execute_command("ACL", "SETUSER", "few", "on", ">pw", "+@all", "~again-*", "~_kombu*", "&*")
    url = urls("redis").replace("redis://", "redis://few:pw@")
    with pytest.raises(Unreachable) as refused:
        again(made("redis", broker_url=url), [row.pk], "me")
    assert "allow its user that on the server" in refused.value.hint
    row.refresh_from_db()
    assert row.state == State.FAILED


def test_again__a_server_that_is_full(made: Any, urls: Callable[[str], str]) -> None:
    app = made("redis")
    row = fail(first(app), queue=app.conf.task_default_queue)
    with redis.Redis.from_url(urls("redis")) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(Unreachable) as refused:
                again(app, [row.pk], "me")
            assert "free memory on that server" in refused.value.hint
        finally:
            client.config_set("maxmemory", 0)
        row.refresh_from_db()
        assert (row.state, client.llen(row.queue)) == (State.FAILED, 0)
        assert len(again(app, [row.pk], "me").sent) == 1


def test_again__an_answer_that_is_lost(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has done it, and nobody knows: the row stays claimed, and whoever finishes it sends nothing more."""
    app = made("redis")
    row = fail(first(app), queue=app.conf.task_default_queue)

    def lost(*args: Any, **options: Any) -> Any:
        send_once(*args, **options)
        raise redis.exceptions.ConnectionError("gone")

    with monkeypatch.context() as patched:
        patched.setattr("tasktools.failures.sending.send_once", lost)
        with pytest.raises(Unreachable):
            again(app, [row.pk], "me")
    row.refresh_from_db()
    assert row.state == State.SENDING
    monkeypatch.setattr(retry, "LEASE", 0)
    with Sender(app) as sender:
        assert len(Retrier(sender, "heir").finish([row.pk]).sent) == 1
    assert taken(app, row.queue).headers["id"] == row.new_id
    with pytest.raises(AssertionError):
        taken(app, row.queue)


def test_again__in_a_transaction_without_a_broker(
    made: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view has answered when that is known: it is logged, and the row can be sent again."""
    app = made("redis")
    row = fail(first(app), queue=app.conf.task_default_queue)
    away = made("redis", broker_url=f"redis://127.0.0.1:{refusing_port()}/0")
    with transaction.atomic():
        assert len(again(away, [row.pk], "me").sent) == 1
    row.refresh_from_db()
    assert row.state == State.FAILED
    assert "cannot be reached" in caplog.text


def test_again__a_limit_that_runs_out_in_a_thread(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server's thread cannot interrupt a publish: what it does goes on, and it begins no other message."""
    app = made("filesystem")
    row = fail(first(app), queue=app.conf.task_default_queue)
    rows = [row, *(fail(Kept.read(row.message, row.body), queue=row.queue, task_id=f"id-{n}") for n in range(2))]
    monkeypatch.setattr("tasktools.failures.sending.BATCH_LIMIT", 0.2)
    publish, go_on, ended = Sender._publish, threading.Event(), threading.Event()

    def slow(self: Any, *args: Any) -> None:
        go_on.wait(20)
        publish(self, *args)
        ended.set()

    monkeypatch.setattr(Sender, "_publish", slow)
    monkeypatch.setattr("tasktools.brokers.reach.within", within_thread)
    with pytest.raises(Unreachable):
        again(app, [each.pk for each in rows], "me")
    go_on.set()
    assert ended.wait(20)
    assert list(FailedTask.objects.order_by("pk").values_list("state", flat=True)) == ["sending", "failed", "failed"]
    assert taken(app, row.queue).headers["tasktools_retry_of"] == row.task_id
    with pytest.raises(AssertionError):
        taken(app, row.queue)
