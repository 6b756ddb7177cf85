from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from tasktools.checks import urls
from tests.checks.conftest import found, ids


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Libraries that seem not to be installed."""
    names = {"boto3", "pymongo"}
    monkeypatch.setattr(urls, "find_spec", lambda name: None if name in names else find_spec("json"))
    return names


def test_W070__fires_without_the_library_of_the_transport(shop: Any, missing: set[str]) -> None:
    shop.conf.broker_url = "sqs://KEY:secret@"
    assert found() == [
        (
            "tasktools.W070",
            'CELERY_BROKER_URL is "sqs://KEY:**@", and the library boto3 is not installed: nothing can be sent.',
            'pip install "celery[sqs]"',
        )
    ]


@pytest.mark.parametrize(("url", "extra"), [("mongodb://localhost/x", "mongodb"), ("redis+socket:///r.sock", "redis")])
def test_W070__names_the_extra_of_celery(shop: Any, missing: set[str], url: str, extra: str) -> None:
    missing.add("redis")
    shop.conf.broker_url = url
    assert [hint for _, _, hint in found()] == [f'pip install "celery[{extra}]"']


def test_W070__fires_if_the_look_up_of_the_library_fails(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ValueError(f"{name}.__spec__ is None")

    monkeypatch.setattr(urls, "find_spec", fail)
    shop.conf.broker_url = "redis://"
    assert ids() == ["W070"]


@pytest.mark.parametrize(
    ("url", "kind", "hint"),
    [
        ("rediss3://localhost", "rediss3", "did you mean rediss://?"),
        ("postgres://localhost", "postgres", "write a URL such as redis://localhost:6379/0 or amqp://localhost"),
    ],
)
def test_W070__fires_for_a_scheme_that_kombu_does_not_know(shop: Any, url: str, kind: str, hint: str) -> None:
    shop.conf.broker_url = url
    sentence = f'CELERY_BROKER_URL is "{url}", and kombu knows no transport "{kind}": nothing can be sent.'
    assert found() == [("tasktools.W070", sentence, hint)]


def test_W070__looks_at_each_url(shop: Any) -> None:
    shop.conf.broker_url = "memory://;nosuch://a"
    shop.conf.broker_read_url = ["other://b", "memory://"]
    assert [sentence.partition(" is ")[0] for _, sentence, _ in found()] == [
        "CELERY_BROKER_URL",
        "CELERY_BROKER_READ_URL",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost/0",
        "amqp://",
        "amqp://localhost/a://b",
        "filesystem://",
        "localhost",
        "memory://",
        "sqla+sqlite:///x",
    ],
)
def test_W070__is_silent_for_what_is_there(shop: Any, url: str, missing: set[str]) -> None:
    shop.conf.broker_url = url
    assert ids() == []


def test_W070__is_silent_for_a_transport_in_its_own_setting(shop: Any) -> None:
    """Celery then does not look at the scheme of the URL."""
    shop.conf.broker_url = "nosuch://localhost"
    shop.conf.broker_transport = "memory"
    assert ids() == []


def test_W070__is_silent_for_a_result_backend(shop: Any, missing: set[str]) -> None:
    """Packages bring result backends of their own."""
    shop.conf.result_backend = "mongodb://localhost/x"
    assert ids() == []
