from __future__ import annotations

from typing import Any

import pytest

from tests.checks.conftest import found, ids


@pytest.mark.parametrize("url", ["localhost:6379", "redis//localhost:6379/0", "redis:/localhost:6379/0", "localhost"])
def test_W078__fires_for_a_broker_without_a_scheme(shop: Any, url: str) -> None:
    shop.conf.broker_url = url
    (message,) = found()
    assert message[0] == "tasktools.W078"
    assert message[1].startswith("CELERY_BROKER_URL is ")
    assert message[1].endswith("which has no scheme: Celery looks for a RabbitMQ there.")
    assert message[2] == "write a URL such as redis://localhost:6379/0 or amqp://localhost"


def test_W078__is_silent_for_a_host_whose_transport_is_named(shop: Any) -> None:
    shop.conf.broker_transport = "redis"
    shop.conf.broker_url = "localhost"
    assert "W078" not in ids()


@pytest.mark.parametrize("setting", ["broker_url", "result_backend"])
def test_W078__fires_for_a_database_that_is_no_number(shop: Any, setting: str) -> None:
    shop.conf[setting] = "redis://localhost:6379/shop"
    sentence = f'CELERY_{setting.upper()} is "redis://localhost:6379/shop", and the databases of a Redis are numbers.'
    assert found() == [("tasktools.W078", sentence, "redis://localhost:6379/0, for example")]


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/3",
        "redis://localhost",
        "redis://localhost:6379/",
        "rediss://localhost/1?ssl_cert_reqs=required",
        "redis+socket:///tmp/x.sock?virtual_host=2",
        "amqp://localhost/shop",
        "sentinel://localhost:26379/0",
        "",
        None,
    ],
)
def test_W078__is_silent_for_a_url(shop: Any, url: Any) -> None:
    shop.conf.broker_url = url
    shop.conf.broker_transport_options = {"master_name": "mine"}
    assert "W078" not in ids()
