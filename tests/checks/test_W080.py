from __future__ import annotations

from typing import Any

import pytest

from tests.checks.conftest import found, ids


def test_W080__fires_for_pickle_from_the_broker(shop: Any) -> None:
    shop.conf.accept_content = ["json", "pickle"]
    assert found(deploy=True) == [
        (
            "tasktools.W080",
            'CELERY_ACCEPT_CONTENT has "pickle": workers run any code that somebody writes to the broker.',
            'CELERY_ACCEPT_CONTENT = ["json"], after the last message with pickle is done',
        )
    ]


@pytest.mark.parametrize("kind", [list, tuple, set])
def test_W080__fires_for_pickle_from_the_result_backend(shop: Any, kind: Any) -> None:
    shop.conf.result_accept_content = kind(["json", "application/x-python-serialize"])
    ((_, sentence, hint),) = found(deploy=True)
    assert sentence == (
        'CELERY_RESULT_ACCEPT_CONTENT has "application/x-python-serialize": clients run any code that somebody writes to the '
        "result backend."
    )
    assert hint.startswith('CELERY_RESULT_ACCEPT_CONTENT = ["json"]')


def test_W080__is_for_deployment_alone(shop: Any) -> None:
    shop.conf.accept_content = ["json", "pickle"]
    assert ids() == []


@pytest.mark.parametrize("accepted", [["json"], ["json", "yaml", "msgpack"], None, "pickle"])
def test_W080__is_silent(shop: Any, accepted: Any) -> None:
    """kombu reads YAML with safe_load, which makes plain values alone."""
    shop.conf.result_accept_content = accepted
    assert "W080" not in ids(deploy=True)
