from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks.conftest import found, ids

DJANGO = "django.core.cache.backends.redis.RedisCache"
OTHER = "django_redis.cache.RedisCache"


@pytest.fixture
def site(shop: Any, settings: Any) -> Any:
    """An app on a Redis, and a function that gives Django a cache."""
    shop.conf.broker_url = "redis://localhost:6379/0"

    def cache(location: Any, backend: str = DJANGO, **more: Any) -> list[str]:
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": location, **more}}
        return ids()

    return cache


def test_W072__fires_for_the_database_of_the_broker(site: Any) -> None:
    site("redis://:secret@127.0.0.1:6379")
    assert found() == [
        (
            "tasktools.W072",
            'The cache "default" and CELERY_BROKER_URL use the same Redis database, redis://localhost:6379/0: '
            "cache.clear() deletes every task that waits.",
            'give the cache "default" another database, such as number 1',
        )
    ]


def test_W072__fires_for_the_database_of_the_results(site: Any, shop: Any) -> None:
    shop.conf.result_backend = "redis://localhost/1"
    site("redis://localhost/1")
    ((_, sentence, hint),) = found()
    assert "and CELERY_RESULT_BACKEND use" in sentence
    assert sentence.endswith("cache.clear() deletes every result.")
    assert hint.endswith("such as number 2")


def test_W072__gives_one_message_for_one_remedy(site: Any, shop: Any) -> None:
    shop.conf.broker_url = "redis://localhost/0;redis://127.0.0.1/0"
    shop.conf.result_backend = "redis://localhost/0"
    site("redis://localhost/0")
    ((_, sentence, _),) = found()
    assert sentence == (
        'The cache "default", CELERY_BROKER_URL and CELERY_RESULT_BACKEND use the same Redis database, '
        "redis://localhost:6379/0: cache.clear() deletes every task that waits and every result."
    )


@pytest.mark.parametrize(
    ("broker", "location"),
    [
        ("redis://[::1]:6379/0", "redis://localhost"),
        ("redis://redis:6380/3", "redis://redis:6380/3"),
        ("rediss://redis/3", "rediss://redis?db=3"),
        ("redis://redis/0", "redis://redis,redis://other"),
        ("redis://redis/0", ["redis://redis", "redis://other"]),
        ("redis+socket:///r.sock", "unix:///r.sock"),
        ("redis+socket:///r.sock?virtual_host=2", "unix:///r.sock?db=2"),
        ("memory://;redis://redis/0", "redis://redis"),
    ],
)
def test_W072__knows_other_spellings(shop: Any, site: Any, broker: str, location: Any) -> None:
    shop.conf.broker_url = broker
    assert site(location, OTHER) == ["W072"]


@pytest.mark.parametrize(
    ("location", "options"),
    [
        ("redis://localhost:6379/1", {}),
        ("redis://localhost:6380/0", {}),
        ("redis://redis:6379/0", {}),
        ("unix:///r.sock", {}),
        ("redis://other:6379/0,redis://localhost:6379/0", {}),
        ("redis://localhost:6379", {"db": 1}),
        ("redis://localhost:port", {}),
        ("", {}),
        (None, {}),
        ([], {}),
        (Path("/run/redis.sock"), {}),
        (6379, {}),
        ([None], {}),
        ("redis://localhost:6379", {"db": "first"}),
        ("http://localhost:6379/0", {}),
    ],
)
def test_W072__is_silent_for_another_database(site: Any, location: Any, options: dict[str, Any]) -> None:
    assert site(location, OPTIONS=options) == []


def test_W072__is_silent_for_a_cache_of_a_wrong_kind(site: Any, settings: Any) -> None:
    settings.CACHES = {"default": "redis://localhost:6379/0"}
    assert ids() == []


def test_W072__is_silent_for_a_url_that_cannot_be_read(site: Any, shop: Any) -> None:
    shop.conf.result_backend = "redis://localhost:port"
    site("redis://localhost:6379/1")
    assert ids("W078") == []


def test_W072__names_a_number_that_is_free_on_the_same_server(site: Any, shop: Any) -> None:
    shop.conf.result_backend = "redis://redis/1"
    site("redis://localhost")
    assert [hint for _, _, hint in found()] == ['give the cache "default" another database, such as number 1']


@pytest.mark.parametrize(
    ("location", "backend", "options"),
    [
        ("redis://localhost", DJANGO, {"db": 1}),
        (["redis://localhost/"], DJANGO, {"db": "1"}),
        ("redis://localhost", OTHER, {"CONNECTION_POOL_KWARGS": {"db": 1}}),
    ],
)
def test_W072__knows_the_number_in_the_options(
    site: Any, shop: Any, location: Any, backend: str, options: dict[str, Any]
) -> None:
    shop.conf.broker_url = "redis://localhost/1"
    assert site(location, backend, OPTIONS=options) == ["W072"]


def test_W072__knows_the_number_of_a_socket_in_the_options(site: Any, shop: Any) -> None:
    shop.conf.broker_url = "redis+socket:///1.sock?virtual_host=2"
    assert site("unix:///1.sock", OPTIONS={"db": 2}) == ["W072"]


@pytest.mark.parametrize("options", [{"db": 0}, {"CONNECTION_POOL_KWARGS": {"db": 1}}])
def test_W072__is_silent_for_options_of_django_redis(site: Any, options: dict[str, Any]) -> None:
    """It does not read `db` itself, and a factory of the project may."""
    assert site("redis://localhost", OTHER, OPTIONS=options) == []


@pytest.mark.parametrize("options", ["db=1", None, {"CONNECTION_POOL_KWARGS": "db=1"}])
def test_W072__reads_options_of_any_kind(site: Any, options: Any) -> None:
    assert site("redis://localhost", OTHER, OPTIONS=options) == ["W072"]


def test_W072__the_number_in_the_url_counts_before_that_of_the_options(site: Any) -> None:
    assert site("redis://localhost:6379/0", OPTIONS={"db": 1}) == ["W072"]
    assert site("redis://localhost?db=0", OPTIONS={"db": 1}) == ["W072"]


@pytest.mark.parametrize("backend", ["django.core.cache.backends.locmem.LocMemCache", "shop.cache.RedisCache"])
def test_W072__is_silent_for_caches_that_may_not_empty_the_database(site: Any, backend: str) -> None:
    assert site("redis://localhost:6379/0", backend) == []


def test_W072__is_silent_for_another_kind_of_broker(shop: Any, site: Any) -> None:
    shop.conf.broker_url = "amqp://localhost:6379/0"
    assert site("redis://localhost:6379/0") == []


def test_W072__says_so_if_no_number_is_free(shop: Any, site: Any) -> None:
    shop.conf.broker_url = ";".join(f"redis://localhost/{number}" for number in range(16))
    site("redis://localhost/15")
    assert [hint for _, _, hint in found()] == ['give the cache "default" a database of another server']
