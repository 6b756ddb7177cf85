from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from tasktools.brokers.addresses import Server, address, is_loopback, is_outside, is_public, servers, urls


@pytest.fixture
def app() -> Iterator[Any]:
    made = Celery("addresses", set_as_current=False)
    made.conf.broker_url = "memory://"
    yield made
    made.close()


@pytest.mark.parametrize(
    ("url", "kind", "host", "port", "database"),
    [
        ("redis://", "redis", "localhost", 6379, "0"),
        ("redis://redis", "redis", "redis", 6379, "0"),
        ("redis://redis:6380/3/", "redis", "redis", 6380, "3"),
        ("redis://redis/3?db=4", "redis", "redis", 6379, "4"),
        ("redis://redis/3?virtual_host=4", "redis", "redis", 6379, "3"),
        ("rediss://127.0.0.1", "redis", "localhost", 6379, "0"),
        ("tasktools://[::1]", "redis", "localhost", 6379, "0"),
        ("tasktools.brokers.redis:Transport://redis", "redis", "redis", 6379, "0"),
        ("sentinel://one:26380", "sentinel", "one", 26380, ""),
        ("sentinel://one", "sentinel", "one", 26379, ""),
        ("amqp://me:pw@rabbit//shop", "amqp", "rabbit", 5672, "shop"),
        ("pyamqp://rabbit", "amqp", "rabbit", 5672, ""),
        ("amqps://rabbit", "amqps", "rabbit", 5671, ""),
        ("mongodb://mongo/Xmas", "mongodb", "mongo", None, "Xmas"),
    ],
)
def test_address__is_where_a_url_leads(url: str, kind: str, host: str, port: int | None, database: str) -> None:
    found = address(url)
    assert found is not None
    assert (found.kind, found.host, found.port, found.socket, found.database) == (kind, host, port, "", database)
    assert found.place == (host, port, "")
    assert found.is_here is (host == "localhost")


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis+socket:///run/r.sock", "0"),
        ("redis+socket:///run/r.sock?virtual_host=2", "2"),
        ("redis+socket:///run/r.sock?db=3", "3"),
        ("redis+socket:///run/r.sock?virtual_host=2&db=3", "2"),
        ("socket:///run/r.sock?db=3", "3"),
        ("unix:///run/r.sock?db=3", "3"),
        ("unix://:secret@/run/r.sock?db=3", "3"),
    ],
)
def test_address__of_a_socket(url: str, database: str) -> None:
    found = address(url)
    assert found is not None
    assert (found.kind, found.host, found.port, found.socket) == ("redis", "", None, "/run/r.sock")
    assert found.database == database
    assert found.place == ("", None, "/run/r.sock")
    assert found.is_here
    assert found.shown == f"redis+socket:///run/r.sock?virtual_host={database}"


@pytest.mark.parametrize("url", ["redis://localhost:port", "redis://[::1", "redis://host:99999999999/0"])
def test_address__is_none_if_nobody_can_say(url: str) -> None:
    assert address(url) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:secret@redis/3?client_name=shop", "redis://redis:6379/3"),
        ("rediss://:secret@127.0.0.1:6380", "rediss://localhost:6380/0"),
        ("redis://[2001:4860::1]", "redis://[2001:4860::1]:6379/0"),
    ],
)
def test_address__is_shown_without_a_password(url: str, shown: str) -> None:
    found = address(url)
    assert found is not None
    assert found.shown == shown


def test_address__has_the_credentials_and_the_query() -> None:
    found = address("amqps://me:s%2Fcret@rabbit//?heartbeat=5")
    assert found is not None
    assert (found.user, found.password, found.query) == ("me", "s/cret", {"heartbeat": "5"})
    assert "s/cret" not in repr(found)
    without = address("redis://")
    assert without is not None
    assert (without.user, without.password, without.query) == ("", "", {})


@pytest.mark.parametrize(
    ("url", "is_tls"),
    [("rediss://a", True), ("amqps://a", True), ("redis://a", False), ("amqp://a", False), ("unix:///a", False)],
)
def test_address__says_whether_the_way_is_encrypted(url: str, is_tls: bool) -> None:
    found = address(url)
    assert found is not None
    assert found.is_tls is is_tls


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("redis://a", ["redis://a"]),
        ("redis://a;amqp://b", ["redis://a", "amqp://b"]),
        (["redis://a;amqp://b", "memory://"], ["redis://a", "amqp://b", "memory://"]),
        (("redis://a", None, "b"), ["redis://a"]),
        ("localhost;redis://a", ["redis://a"]),
        ("rpc", []),
        (None, []),
        (5, []),
    ],
)
def test_urls__of_a_setting(value: Any, expected: list[str]) -> None:
    assert urls(value) == expected


def places(app: Any) -> list[tuple[str, str, bool]]:
    return [(each.setting, each.url, each.is_broker) for each in servers(app)]


def test_servers__are_the_brokers_and_the_result_backend(app: Any) -> None:
    app.conf.broker_url = ["redis://a", "redis://b"]
    app.conf.broker_write_url = "redis://b;redis://c"
    app.conf.broker_read_url = "amqp://d"
    app.conf.result_backend = "redis://a"
    assert places(app) == [
        ("CELERY_BROKER_URL", "redis://a", True),
        ("CELERY_BROKER_URL", "redis://b", True),
        ("CELERY_BROKER_WRITE_URL", "redis://c", True),
        ("CELERY_BROKER_READ_URL", "amqp://d", True),
        ("CELERY_RESULT_BACKEND", "redis://a", False),
    ]


def test_servers__have_their_address(app: Any) -> None:
    app.conf.broker_url = "redis://:secret@a"
    app.conf.result_backend = "redis://b:port"
    broker, backend = servers(app)
    assert broker == Server(
        setting="CELERY_BROKER_URL",
        url="redis://:secret@a",
        address=address("redis://:secret@a"),
        is_broker=True,
    )
    assert backend.address is None
    assert "secret" not in repr(broker)


def test_servers__of_an_app_without_a_result_backend(app: Any) -> None:
    assert places(app) == [("CELERY_BROKER_URL", "memory://", True)]


@pytest.mark.parametrize(
    ("host", "outside", "public", "loopback"),
    [
        ("8.8.8.8", True, True, False),
        ("2001:4860:4860::8888", True, True, False),
        ("10.0.0.7", False, False, False),
        ("192.168.1.1", False, False, False),
        ("fd00::1", False, False, False),
        ("127.0.0.1", False, False, True),
        ("127.5.5.5", False, False, True),
        ("::1", False, False, True),
        ("localhost", False, False, True),
        ("redis", False, False, False),
        ("redis.example.com", True, False, False),
        ("internal.example.com", True, False, False),
        ("mylocal", False, False, False),
        ("", False, False, False),
    ],
)
def test_host__outside_public_and_loopback(host: str, outside: bool, public: bool, loopback: bool) -> None:
    assert (is_outside(host), is_public(host), is_loopback(host)) == (outside, public, loopback)


@pytest.mark.parametrize(
    "host",
    [
        "mac.local",
        "redis.localdomain",
        "redis.internal",
        "redis.lan",
        "redis.home.arpa",
        "redis.shop.svc",
        "redis.test",
        "shop.localhost",
        "redis.shop.svc.cluster.local",
    ],
)
def test_host__names_that_no_name_server_of_the_internet_knows(host: str) -> None:
    assert not is_outside(host)
