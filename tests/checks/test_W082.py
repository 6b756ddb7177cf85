from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.checks.conftest import found, ids

OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2}


@pytest.fixture
def site(shop: Any) -> Any:
    shop.conf.broker_url = "rediss://:secret@redis.example.com:6380/0?ssl_cert_reqs=required"
    shop.conf.broker_transport_options = OPTIONS
    return shop


def test_W082__fires_for_the_url(site: Any) -> None:
    site.conf.broker_url = "rediss://:secret@redis.example.com:6380/0?ssl_cert_reqs=none"
    assert found(deploy=True) == [
        (
            "tasktools.W082",
            'CELERY_BROKER_URL, "rediss://:**@redis.example.com:6380/0?ssl_cert_reqs=none", checks no certificate: '
            "anybody on the way may answer for it.",
            "write ssl_cert_reqs=CERT_REQUIRED, with ssl_ca_certs if the authority is your own",
        )
    ]


def test_W082__fires_for_the_options(site: Any) -> None:
    site.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_NONE}
    ((_, sentence, hint),) = found(deploy=True)
    assert sentence == 'CELERY_BROKER_USE_SSL has "ssl_cert_reqs": CERT_NONE: no certificate is checked.'
    assert hint == '"ssl_cert_reqs": ssl.CERT_REQUIRED, with ssl_ca_certs if the authority is your own'


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("result_backend", "rediss://:secret@redis.example.com/1?ssl_cert_reqs=CERT_NONE"),
        ("broker_use_ssl", {"cert_reqs": "none"}),
        ("redis_backend_use_ssl", {"ssl_cert_reqs": "CERT_NONE"}),
    ],
)
def test_W082__fires_for_other_settings(site: Any, setting: str, value: Any) -> None:
    site.conf.result_backend = "rediss://:secret@redis.example.com/1?ssl_cert_reqs=required"
    site.conf[setting] = value
    ((check_id, sentence, _),) = found(deploy=True)
    assert (check_id, sentence[: len(setting) + 7]) == ("tasktools.W082", f"CELERY_{setting.upper()}")


@pytest.mark.parametrize("told", [{}, None, True, {"ssl_cert_reqs": ssl.CERT_REQUIRED}, {"ssl_cert_reqs": "optional"}])
def test_W082__is_silent_for_options_that_check(site: Any, told: Any) -> None:
    site.conf.broker_use_ssl = told
    assert ids(deploy=True) == []


@pytest.mark.parametrize(
    ("broker", "told"),
    [
        ("rediss://:secret@localhost:6380/0?ssl_cert_reqs=none", {"ssl_cert_reqs": "none"}),
        ("rediss://:secret@localhost:port", {"ssl_cert_reqs": "none"}),
    ],
)
def test_W082__is_silent_on_this_machine(site: Any, broker: str, told: Any) -> None:
    site.conf.broker_url = broker
    site.conf.result_backend = "rediss://:secret@redis.example.com/1?ssl_cert_reqs=required"
    site.conf.broker_use_ssl = told
    assert "W082" not in ids(deploy=True)


def test_W082__is_silent_for_options_of_a_backend_that_is_not_there(site: Any) -> None:
    site.conf.redis_backend_use_ssl = {"ssl_cert_reqs": "none"}
    assert ids(deploy=True) == []


def test_W082__is_for_deployment_alone(site: Any) -> None:
    site.conf.broker_use_ssl = {"ssl_cert_reqs": "none"}
    assert ids() == []
