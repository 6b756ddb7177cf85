from __future__ import annotations

from typing import Any

import pytest

from tests.checks.conftest import found, ids

BOTH = {"socket_timeout": 2, "socket_connect_timeout": 2}


@pytest.fixture
def site(shop: Any) -> Any:
    """An app with a Redis in the same network."""
    shop.conf.broker_url = "redis://:secret@redis:6379/0"
    return shop


def test_W077__fires_without_the_timeouts(site: Any) -> None:
    assert found(deploy=True) == [
        (
            "tasktools.W077",
            'The broker "redis://:**@redis:6379/0" has no socket_timeout and no socket_connect_timeout: '
            ".delay() in a request may wait for ever if it stays silent.",
            'CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2}',
        )
    ]


@pytest.mark.parametrize("name", BOTH)
def test_W077__fires_without_one_of_them(site: Any, name: str) -> None:
    site.conf.broker_transport_options = {**BOTH, name: None}
    ((_, sentence, _),) = found(deploy=True)
    assert f"has no {name}: .delay()" in sentence


def test_W077__fires_once_for_several_servers(site: Any) -> None:
    site.conf.broker_url = "redis://localhost;redis://one;redis://two"
    ((_, sentence, _),) = found(deploy=True)
    assert '"redis://one"' in sentence


def test_W077__is_silent_with_them(site: Any) -> None:
    site.conf.broker_transport_options = BOTH
    assert ids(deploy=True) == []


def test_W077__is_for_deployment_alone(site: Any) -> None:
    assert ids() == []


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:6379/0", "redis+socket:///r.sock", "amqp://rabbit", "redis://host:port"]
)
def test_W077__is_silent_for_other_brokers(site: Any, url: str) -> None:
    site.conf.broker_url = url
    assert ids("W078", deploy=True) == []


def test_W077__is_silent_for_a_result_backend(site: Any) -> None:
    """Celery has a timeout of its own for it."""
    site.conf.broker_url = "memory://"
    site.conf.result_backend = "redis://redis:6379/1"
    assert ids(deploy=True) == []


def test_W077__is_silent_for_options_of_a_wrong_kind(site: Any) -> None:
    site.conf.broker_transport_options = ["socket_timeout"]
    assert ids("W042", deploy=True) == []
