from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata
from importlib.util import find_spec
from typing import Any

import pytest

from tasktools.checks import extras, urls
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


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("mongodb://localhost/x", '"celery[mongodb]"'),
        ("redis+socket:///r.sock", '"celery[redis]"'),
        ("zookeeper://localhost", '"celery[zookeeper]"'),
        ("pyro://localhost", '"kombu[pyro]"'),  # that of Celery is for old Pythons
        ("confluentkafka://localhost", '"kombu[confluentkafka]"'),
        ("etcd://localhost", "python-etcd"),  # nobody has an extra for it
    ],
)
def test_W070__names_what_brings_the_library(shop: Any, missing: set[str], url: str, source: str) -> None:
    missing.update(["redis", "kazoo", "Pyro4", "confluent_kafka", "etcd"])
    shop.conf.broker_url = url
    assert [hint for _, _, hint in found()] == [f"pip install {source}"]


@pytest.mark.parametrize(
    ("scheme", "library"),
    [
        ("redis", "redis"),
        ("rediss", "redis"),
        ("sentinel", "redis"),
        ("sqs", "boto3"),
        ("SQS", "boto3"),
        ("mongodb", "pymongo"),
        ("zookeeper", "kazoo"),
        ("sqla", "sqlalchemy"),
        ("sqlalchemy", "sqlalchemy"),
        ("consul", "consul"),
        ("etcd", "etcd"),
        ("kafka", "confluent_kafka"),
        ("confluentkafka", "confluent_kafka"),
        ("librabbitmq", "librabbitmq"),
        ("pyro", "Pyro4"),
    ],
)
def test_W070__knows_the_library_of_a_transport(shop: Any, missing: set[str], scheme: str, library: str) -> None:
    missing.add(library)
    shop.conf.broker_url = f"{scheme}://localhost"
    (sentence,) = (sentence for check_id, sentence, _ in found() if check_id == "tasktools.W070")
    assert f"and the library {library} is not installed" in sentence


@pytest.mark.parametrize("library", [*urls._LIBRARIES.values()])
def test_W070__names_no_extra_that_does_not_exist(library: str) -> None:
    source = extras.source_of(library)
    match = re.fullmatch(r'"(\w+)\[(\w+)\]"', source)
    assert match is None or match[2] in (metadata(match[1]).get_all("Provides-Extra") or [])


def test_W070__names_the_distribution_without_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "requires", fail)
    assert extras.source_of("confluent_kafka") == "confluent-kafka"
    assert extras.source_of("consul") == "python-consul2"
    assert extras.source_of("redis") == "redis"


def test_W070__names_the_distribution_if_no_package_requires_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "requires", lambda name: None)
    assert extras.source_of("redis") == "redis"


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
        ("rabbitmq://localhost", "rabbitmq", "did you mean amqp://?"),
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
        "kombu.transport.memory.Transport://",  # the path of a class
    ],
)
def test_W070__is_silent_for_what_is_there(shop: Any, url: str, missing: set[str]) -> None:
    shop.conf.broker_url = url
    assert ids("W078") == []


def test_W070__is_silent_for_a_transport_in_its_own_setting(shop: Any) -> None:
    """Celery then does not look at the scheme of the URL."""
    shop.conf.broker_url = "nosuch://localhost"
    shop.conf.broker_transport = "memory"
    assert ids() == []


def test_W070__is_silent_for_a_result_backend(shop: Any, missing: set[str]) -> None:
    """Packages bring result backends of their own."""
    shop.conf.result_backend = "mongodb://localhost/x"
    assert ids() == []
