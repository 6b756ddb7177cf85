from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.backends.redis import RedisBackend, SentinelBackend
from redis import Redis, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as Broken

from tasktools.exceptions import Unreachable
from tasktools.framework import redis_records, store
from tests.support import connections_to, refusing_port, silent_listener

# What Celery itself calls of redis-py.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")

#: What is done with a record.
USES: list[Callable[[Any], Any]] = [
    lambda backend: store.write(backend, "one", RECORD),
    lambda backend: store.read(backend, "one"),
    lambda backend: store.forget(backend, "one"),
]

RECORD = {"task": "shop.add", "args": [1, "ä"], "run_after": None, "errors": [["a.B", "text"]], "value": None}


@pytest.fixture
def plain(app: Any) -> Iterator[RedisBackend]:
    """Celery's own backend for Redis, with a prefix, in a database of the private Valkey that nobody else uses."""
    app.backend.client.ping()  # starts it
    path = app.backend.client.connection_pool.connection_kwargs["path"]
    url = f"redis+socket://{path}?virtual_host=11"
    other = Celery("shop", broker="memory://", backend=url, set_as_current=False)
    other.conf.result_backend_transport_options = {"global_keyprefix": "a-site."}
    assert type(other.backend) is RedisBackend
    yield other.backend
    other.backend.client.flushdb()
    other.close()


@pytest.fixture(params=["file://{}", "db+sqlite:///{}/results.sqlite", "cache+memory://", "redis"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "redis":
        yield request.getfixturevalue("plain")
        return
    app = Celery("shop", broker="memory://", backend=request.param.format(tmp_path), set_as_current=False)
    yield app.backend
    app.close()


@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy
def test_store__any_result_backend_keeps_a_record(backend: Any) -> None:
    assert store.read(backend, "one") is None
    store.write(backend, "one", RECORD)
    assert store.read(backend, "one") == RECORD
    store.write(backend, "one", {**RECORD, "value": 3})
    assert (store.read(backend, "one") or {})["value"] == 3
    assert store.read(backend, "two") is None
    store.forget(backend, "one")
    assert store.read(backend, "one") is None


@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy
def test_read__an_id_that_is_too_long_for_a_file(backend: Any) -> None:
    assert store.read(backend, "é" * 200) is None


def test_store__a_redis_has_it_where_celery_looks_for_it(plain: RedisBackend) -> None:
    store.write(plain, "one", RECORD)
    assert plain.client.keys() == [b"a-site.celery-task-meta-one.django"]
    assert plain.get_task_meta("one.django")["result"] == RECORD
    plain.store_result("two.django", RECORD, store.STATE)
    assert store.read(plain, "two") == RECORD
    assert store.read(plain, "three") is None
    store.forget(plain, "one")
    assert plain.client.exists("a-site.celery-task-meta-one.django") == 0


def test_client_of__what_is_derived_from_that_for_redis__has_the_limits(app: Any) -> None:
    """That of the private Valkey is: its connections start the server."""
    assert isinstance(app.backend, RedisBackend)
    pool = redis_records.client_of(app.backend).connection_pool
    assert pool is not app.backend.client.connection_pool
    assert pool.connection_kwargs["socket_timeout"] == redis_records.LIMIT
    assert pool.connection_class is app.backend.client.connection_pool.connection_class


def test_client_of__sentinel__is_that_of_celery() -> None:
    url = "sentinel://127.0.0.1:1/0"
    options = {"master_name": "main"}
    app = Celery("shop", broker="memory://", backend=url, set_as_current=False)
    app.conf.result_backend_transport_options = options
    assert isinstance(app.backend, SentinelBackend)
    assert redis_records.client_of(app.backend) is app.backend.client
    app.close()


def test_store__the_result_of_celery_stays_as_it_is(app: Any) -> None:
    app.backend.store_result("three", 5, "SUCCESS")
    store.write(app.backend, "three", RECORD)
    assert app.AsyncResult("three").result == 5
    assert store.read(app.backend, "three") == RECORD
    assert store.read(app.backend, "three.django") is None


def test_store__what_another_program_wrote_is_no_record(app: Any) -> None:
    app.backend.store_result("four.django", {"task": "shop.add"}, "SUCCESS")
    assert store.read(app.backend, "four") is None


@pytest.mark.parametrize(("url", "kept"), [("disabled://", False), ("rpc://", False), ("cache+memory://", False)])
def test_can_keep__only_what_every_process_can_read(url: str, kept: bool) -> None:
    app = Celery("shop", broker="memory://", backend=url, set_as_current=False)
    assert store.can_keep(app.backend) is kept
    app.close()


def test_can_keep__redis(app: Any) -> None:
    assert store.can_keep(app.backend)


def test_shares_database__only_the_same_one(app: Any) -> None:
    ours = app.backend.client
    path = ours.connection_pool.connection_kwargs["path"]
    assert store.shares_database(app.backend, ours)
    assert not store.shares_database(app.backend, Redis(unix_socket_path=path, db=3))
    assert not store.shares_database(app.backend, Redis(host="localhost"))
    assert not store.shares_database(object(), ours)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make the backend of a Redis: away(port)."""
    apps = []

    def make(port: int) -> Any:
        url = f"redis://127.0.0.1:{port}/0"
        apps.append(Celery("shop", broker="memory://", backend=url, set_as_current=False))
        return apps[-1].backend

    yield make
    for app in apps:
        app.close()


@pytest.mark.parametrize("use", USES)
def test_store__a_redis_that_is_down__is_not_tried_for_long(
    monkeypatch: pytest.MonkeyPatch, away: Any, use: Callable[[Any], Any]
) -> None:
    """Celery tries it 20 times, in 19 seconds, before the function of the task may start."""
    slept: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)
    monkeypatch.setattr("redis.retry.sleep", slept.append)
    with pytest.raises(Unreachable, match=r"The result backend .* cannot be reached"):
        use(away(refusing_port()))
    assert sum(slept) == 0


@pytest.mark.parametrize("use", USES)
def test_store__a_redis_that_is_silent__is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch, away: Any, use: Callable[[Any], Any]
) -> None:
    """Celery waits for 120 seconds, and then again."""
    monkeypatch.setattr(redis_records, "LIMIT", 0.5)
    with silent_listener() as listener:
        with pytest.raises(Unreachable, match=r"The result backend .* does not answer"):
            use(away(listener.getsockname()[1]))
        assert connections_to(listener) == 1


@pytest.mark.parametrize(("failures", "is_done"), [(1, True), (2, False)])
@pytest.mark.parametrize("use", USES)
def test_store__a_connection_that_breaks_at_a_command__is_replaced_once(
    plain: RedisBackend, monkeypatch: pytest.MonkeyPatch, use: Callable[[Any], Any], failures: int, is_done: bool
) -> None:
    """The server may end it at any time, also between the pool's look at it and the command."""
    redis_records.client_of(plain).ping()
    sent: list[Any] = []
    send = UnixDomainSocketConnection.send_packed_command

    def breaking(self: Any, command: Any, *args: Any, **more: Any) -> Any:
        if any(word in str(command) for word in ("GET", "SET", "DEL")) and "SETINFO" not in str(command):
            sent.append(command)
            if len(sent) <= failures:
                self.disconnect()
                raise Broken("gone")
        return send(self, command, *args, **more)

    monkeypatch.setattr(UnixDomainSocketConnection, "send_packed_command", breaking)
    with contextlib.nullcontext() if is_done else pytest.raises(Unreachable):
        use(plain)
    assert len(sent) == 2


def test_store__what_the_settings_say_is_not_made_longer(away: Any) -> None:
    backend = away(1)
    backend.connparams["socket_timeout"] = 0.5
    given = redis_records.client_of(backend).connection_pool.connection_kwargs
    assert (given["socket_timeout"], given["socket_connect_timeout"]) == (0.5, redis_records.LIMIT)
