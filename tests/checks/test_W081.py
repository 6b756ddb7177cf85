from __future__ import annotations

from typing import Any

import pytest

from tests.checks.conftest import found, ids

SAFE = "rediss://:secret@redis.example.com:6380/0?ssl_cert_reqs=required"


@pytest.fixture
def site(shop: Any) -> Any:
    shop.conf.broker_url = SAFE
    shop.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 2}
    return shop


def test_W081__fires_without_a_password_and_tls(site: Any) -> None:
    site.conf.broker_url = "redis://redis.example.com:6379/0"
    assert found(deploy=True) == [
        (
            "tasktools.W081",
            'CELERY_BROKER_URL, "redis://redis.example.com:6379/0", is on another machine and has no password and no TLS.',
            "set up both on the server, and write rediss://USER:**@HOST:PORT/DATABASE?ssl_cert_reqs=required",
        )
    ]


@pytest.mark.parametrize(
    ("url", "lacks"),
    [
        ("redis://:secret@redis.example.com:6380/0", "no TLS"),
        ("redis://:secret@8.8.8.8:6380/0", "no TLS"),
        ("redis://:secret@[2001:4860:4860::8888]:6380/0", "no TLS"),
        ("rediss://redis.example.com:6380/0?ssl_cert_reqs=required", "no password"),
    ],
)
@pytest.mark.parametrize("setting", ["broker_url", "result_backend"])
def test_W081__fires_without_one_of_them(site: Any, setting: str, url: str, lacks: str) -> None:
    site.conf[setting] = url
    ((_, sentence, _),) = found(deploy=True)
    assert sentence.startswith(f'CELERY_{setting.upper()}, "redis')
    assert sentence.endswith(f"is on another machine and has {lacks}.")


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ("broker_url", {"broker_password": "secret", "broker_use_ssl": True}),
        ("result_backend", {"redis_password": "secret", "redis_backend_use_ssl": {"ssl_cert_reqs": "required"}}),
        (
            "result_backend",
            {"redis_backend_credential_provider": "shop.P", "redis_backend_use_ssl": {"ssl_ca_certs": "a"}},
        ),
    ],
)
def test_W081__is_silent_if_other_settings_have_them(site: Any, setting: str, more: dict[str, Any]) -> None:
    url = "redis://redis.example.com:6380/0"
    site.conf[setting] = url
    assert ids(deploy=True) == ["W081"]
    for name, value in more.items():
        site.conf[name] = value
    assert ids(deploy=True) == []


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ("result_backend", {"broker_password": "secret", "broker_use_ssl": True}),
        ("broker_url", {"redis_password": "secret", "redis_backend_use_ssl": {"ssl_cert_reqs": "required"}}),
    ],
)
def test_W081__broker_and_result_backend_have_settings_of_their_own(
    site: Any, setting: str, more: dict[str, Any]
) -> None:
    site.conf[setting] = "redis://redis.example.com:6380/0"
    for name, value in more.items():
        site.conf[name] = value
    ((_, sentence, _),) = found(deploy=True)
    assert sentence.endswith("has no password and no TLS.")


@pytest.mark.parametrize(
    "url",
    [
        SAFE,
        "rediss://redis.example.com:6380/0?credential_provider=shop.Provider",
        "redis://localhost:6379/0",
        "redis://127.0.0.1:6379/0",
        "redis://redis:6379/0",
        "redis://10.0.0.7:6379/0",
        "redis://redis.prod.svc.cluster.local:6379/0",
        "redis://redis.internal:6379/0",
        "redis+socket:///srv/www.example.com/redis.sock",
        "amqp://guest:guest@rabbit.example.com:5672//",
        "redis://redis.example.com:port",
    ],
)
def test_W081__is_silent_where_it_may_be_safe(site: Any, url: str) -> None:
    site.conf.broker_url = url
    assert "W081" not in ids(deploy=True)


def test_W081__is_for_deployment_alone(site: Any) -> None:
    site.conf.broker_url = "redis://redis.example.com:6379/0"
    assert ids() == []


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("redis://:secret@redis.example.com:6379/0", "TLS"),
        ("rediss://redis.example.com:6379/0?ssl_cert_reqs=required", "a password"),
    ],
)
def test_W081__names_what_is_missing(site: Any, url: str, what: str) -> None:
    site.conf.broker_url = url
    (hint,) = [each for check_id, _, each in found(deploy=True) if check_id == "tasktools.W081"]
    assert hint.startswith(f"set up {what} on the server, ")
