from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.checks.conftest import found, ids


def test_W076__fires_for_a_sentinel_without_the_name_of_its_master(shop: Any) -> None:
    shop.conf.broker_url = "sentinel://:secret@one:26379;sentinel://:secret@two:26379"
    assert found() == [
        (
            "tasktools.W076",
            'CELERY_BROKER_URL, "sentinel://:**@one:26379", is a Sentinel, and CELERY_BROKER_TRANSPORT_OPTIONS has no '
            '"master_name".',
            'CELERY_BROKER_TRANSPORT_OPTIONS = {"master_name": "mymaster"}',
        )
    ]


def test_W076__broker_and_result_backend_have_options_of_their_own(shop: Any) -> None:
    shop.conf.broker_url = shop.conf.result_backend = "sentinel://one:26379"
    shop.conf.broker_transport_options = {"master_name": "main"}
    ((_, sentence, hint),) = found()
    assert sentence.startswith('CELERY_RESULT_BACKEND, "sentinel://one:26379", is a Sentinel')
    assert hint == 'CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"master_name": "mymaster"}'
    shop.conf.result_backend_transport_options = {"master_name": "main"}
    assert ids() == []


def test_W076__fires_for_a_result_backend_with_tls_that_celery_refuses(shop: Any) -> None:
    shop.conf.result_backend = "rediss://localhost:6379/1"
    sentence = 'CELERY_RESULT_BACKEND, "rediss://localhost:6379/1", has no ssl_cert_reqs: Celery refuses it.'
    assert found() == [("tasktools.W076", sentence, "add ?ssl_cert_reqs=required to the end of the URL")]
    with pytest.raises(ValueError, match="ssl_cert_reqs"):
        shop.backend.client  # noqa: B018 - makes it


@pytest.mark.parametrize("told", [{"ssl_ca_certs": "ca.pem"}, True])
def test_W076__fires_for_other_options_of_tls(shop: Any, told: Any) -> None:
    shop.conf.result_backend = "rediss://localhost:6379/1"
    shop.conf.redis_backend_use_ssl = told
    assert ids("W042") == ["W076"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("rediss://localhost:6379/1?ssl_cert_reqs=required", None),
        ("rediss://localhost:6379/1", {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        ("redis://localhost:6379/1", None),
        ("rediss://localhost:port", None),
    ],
)
def test_W076__is_silent_for_a_result_backend_that_celery_takes(shop: Any, url: str, told: Any) -> None:
    shop.conf.result_backend = url
    shop.conf.redis_backend_use_ssl = told
    assert ids("W078") == []


@pytest.mark.parametrize(
    ("url", "options"),
    [("rediss://localhost:6379/0", None), ("redis://localhost:6379/0", {}), ("sentinel://one", ["master_name"])],
)
def test_W076__is_silent_for_a_broker(shop: Any, url: str, options: Any) -> None:
    shop.conf.broker_url = url
    shop.conf.broker_transport_options = options
    assert ids("W042") == []
