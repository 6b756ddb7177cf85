from __future__ import annotations

from typing import Any

import pytest

from tests.checks.conftest import found, ids


@pytest.mark.parametrize("url", ["localhost:6379", "redis//localhost:6379/0", "redis:/localhost:6379/0", "localhost"])
def test_W078__fires_for_a_broker_without_a_scheme(shop: Any, url: str) -> None:
    shop.conf.broker_url = url
    sentence = f'CELERY_BROKER_URL is "{url}", which has no scheme: Celery looks for a RabbitMQ there.'
    hint = "write a URL such as redis://localhost:6379/0 or amqp://localhost"
    assert found() == [("tasktools.W078", sentence, hint)]


def test_W078__is_silent_for_a_host_whose_transport_is_named(shop: Any) -> None:
    shop.conf.broker_transport = "redis"
    shop.conf.broker_url = "localhost"
    assert "W078" not in ids()


@pytest.mark.parametrize("setting", ["broker_url", "result_backend"])
def test_W078__fires_for_a_database_that_is_no_number(shop: Any, setting: str) -> None:
    shop.conf[setting] = "redis://localhost:6379/shop"
    sentence = f'CELERY_{setting.upper()} is "redis://localhost:6379/shop", and the databases of a Redis are numbers.'
    assert found() == [("tasktools.W078", sentence, "redis://localhost:6379/0, for example")]


def test_W078__fires_for_such_a_database_behind_a_socket(shop: Any) -> None:
    shop.conf.broker_url = "redis+socket:///tmp/x.sock?virtual_host=shop"
    ((check_id, _, hint),) = found()
    assert (check_id, hint) == ("tasktools.W078", "redis+socket:///PATH?virtual_host=0, for example")
    with pytest.raises(ValueError, match="Database is int"):
        shop.connection().channel()


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("broker_url", "redis://u:pw12345@localhost:port/0"),
        ("broker_url", "amqp://u:pw12345@localhost:-5//"),
        ("broker_read_url", "redis://localhost:99999"),
        ("broker_url", "redis://localhost:pw12345/0?client_name=a@b"),
        ("result_backend", "redis://u:pw12345@localhost:nope/1"),
    ],
)
def test_W078__fires_for_a_port_that_is_none(shop: Any, setting: str, url: str) -> None:
    shop.conf[setting] = url
    shown = url.replace("pw12345/0?client_name=a", "**").replace("pw12345", "**")  # what may be a password is hidden
    sentence = f'CELERY_{setting.upper()} is "{shown}", and its port is not a number from 0 to 65535.'
    example = "amqp://localhost:5672//" if url.startswith("amqp") else "redis://localhost:6379/0"
    hint = f"write the port as a number up to 65535, as in {example}"
    assert found() == [("tasktools.W078", sentence, hint)]


def test_W078__leaves_a_password_that_looks_like_a_port_to_W071(shop: Any) -> None:
    shop.conf.broker_url = "redis://:verysecret/long@localhost:6379/0"
    assert ids() == ["W071"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/3",
        "redis://localhost",
        "redis://localhost:6379/",
        "rediss://localhost/1?ssl_cert_reqs=required",
        "redis+socket:///tmp/x.sock?virtual_host=2",
        "redis+socket:///tmp/x.sock?db=shop",
        "amqp://localhost/shop",
        "sentinel://localhost:26379/0",
        "sentinel://localhost:26379/mine",
        "redis://[::1]:6379/0",
        ["redis://localhost", "redis://redis"],
        "",
        None,
    ],
)
def test_W078__is_silent_for_a_url(shop: Any, url: Any) -> None:
    shop.conf.broker_url = url
    shop.conf.broker_transport_options = {"master_name": "mine"}
    assert "W078" not in ids()
