from __future__ import annotations

from typing import Any

import pytest

from tests.checks.conftest import found, ids


@pytest.fixture
def site(shop: Any) -> Any:
    shop.conf.broker_url = "redis://localhost:6379/0"
    return shop


def test_W075__fires_for_a_timeout_that_nothing_reads(site: Any) -> None:
    site.conf.result_backend_transport_options = {"visibility_timeout": 7200}
    assert found() == [
        (
            "tasktools.W075",
            'The option "visibility_timeout" of CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS is 7200, and nothing reads it there: '
            "the broker's is 3600 s.",
            'CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 7200}',
        )
    ]


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("redis://localhost", {"visibility_timeout": 60}, 61),
        ("sqs://KEY:secret@", {}, 3600),
        ("redis://localhost", {"ack_emulation": True}, 60),
    ],
)
def test_W075__fires_if_the_two_disagree(site: Any, url: str, options: dict[str, Any], told: int) -> None:
    site.conf.broker_url = url
    site.conf.broker_transport_options = options
    site.conf.result_backend_transport_options = {"visibility_timeout": told}
    assert "W075" in ids()


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("redis://localhost", {}, {"visibility_timeout": 3600}),
        ("redis://localhost", {"visibility_timeout": 60}, {"visibility_timeout": 60}),
        ("redis://localhost", {"visibility_timeout": None}, {"visibility_timeout": 3600}),
        ("redis://localhost", {"visibility_timeout": "soon"}, {"visibility_timeout": 60}),
        ("redis://localhost", {"visibility_timeout": 60}, {"visibility_timeout": "soon"}),
        ("redis://localhost", {"visibility_timeout": 60}, {}),
        ("redis://localhost", {"visibility_timeout": 60}, None),
        ("redis://localhost", {"visibility_timeout": 60}, ["visibility_timeout"]),
        ("redis://localhost", ["visibility_timeout"], {"visibility_timeout": 60}),
        ("redis://localhost", {"ack_emulation": False}, {"visibility_timeout": 60}),
        ("sqs://KEY:secret@", {"predefined_queues": {"celery": {}}}, {"visibility_timeout": 60}),
        ("amqp://localhost", {"visibility_timeout": 60}, {"visibility_timeout": 61}),
    ],
)
def test_W075__is_silent(site: Any, url: str, options: Any, told: Any) -> None:
    site.conf.broker_url = url
    site.conf.broker_transport_options = options
    site.conf.result_backend_transport_options = told
    assert not {"W075", "W002"} & set(ids())
