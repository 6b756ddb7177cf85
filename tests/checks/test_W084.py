from __future__ import annotations

from typing import Any

import pytest

from tests.checks.conftest import found, ids


@pytest.fixture
def site(shop: Any) -> Any:
    shop.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 2}
    return shop


def test_W084__fires_for_the_usual_port_of_a_public_address(site: Any) -> None:
    site.conf.broker_url = "amqp://me:secret@8.8.8.8:5672//"
    assert found(deploy=True) == [
        (
            "tasktools.W084",
            'CELERY_BROKER_URL, "amqp://me:**@8.8.8.8:5672//", is at port 5672 of a public address, where everybody looks for '
            "one.",
            "move it into a private network; close the port in the firewall until then",
        )
    ]


@pytest.mark.parametrize(
    "url",
    [
        "amqp://me:secret@8.8.8.8",
        "amqps://me:secret@8.8.8.8",
        "pyamqp://me:secret@8.8.8.8:5672",
        "rediss://:secret@[2001:4860:4860::8888]:6379/0",
    ],
)
def test_W084__knows_the_usual_ports(site: Any, url: str) -> None:
    site.conf.broker_url = url
    assert ids(deploy=True) == ["W084"]


@pytest.mark.parametrize(
    "url",
    [
        "amqp://me:secret@8.8.8.8:5673",
        "amqp://me:secret@10.0.0.7:5672",
        "amqp://me:secret@rabbit.example.com:5672",
        "rediss://:secret@8.8.8.8:6380/0",
        "redis://localhost:6379/0",
        "amqp://localhost",
        "redis://8.8.8.8:port",
    ],
)
def test_W084__is_silent_for_another_port_or_place(site: Any, url: str) -> None:
    site.conf.broker_url = url
    assert "W084" not in ids(deploy=True)


def test_W084__is_silent_for_a_result_backend(site: Any) -> None:
    site.conf.result_backend = "rediss://:secret@8.8.8.8:6379/0?ssl_cert_reqs=required"
    assert ids(deploy=True) == []


def test_W084__is_for_deployment_alone(site: Any) -> None:
    site.conf.broker_url = "amqp://me:secret@8.8.8.8"
    assert ids() == []
