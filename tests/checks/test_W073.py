from __future__ import annotations

from typing import Any

import pytest

from tests.checks.conftest import found, ids


def test_W073__fires_if_environment_and_settings_differ(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:secret@redis:6379/0")
    shop.conf.broker_url = "redis://localhost:6379/0"
    assert found() == [
        (
            "tasktools.W073",
            'CELERY_BROKER_URL is "redis://:**@redis:6379/0" in the environment and "redis://localhost:6379/0" in the '
            "settings: Celery takes the first one.",
            'CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"] in the settings, or unset one of the two',
        )
    ]
    assert shop.conf.broker_url == "redis://:secret@redis:6379/0"


@pytest.mark.parametrize(
    ("variable", "setting", "told"),
    [
        ("CELERY_BROKER_READ_URL", "broker_read_url", "memory://"),
        ("CELERY_BROKER_WRITE_URL", "broker_write_url", "memory://"),
        ("CELERY_RESULT_BACKEND", "result_backend", "cache+memory://"),
        ("CELERY_RESULT_BACKEND", "result_backend", "rpc"),
    ],
)
def test_W073__fires_for_each_variable_that_celery_reads(
    shop: Any, monkeypatch: pytest.MonkeyPatch, variable: str, setting: str, told: str
) -> None:
    monkeypatch.setenv(variable, told)
    shop.conf[setting] = "redis://localhost/7"
    assert [sentence.partition(" in the env")[0] for _, sentence, _ in found()] == [f'{variable} is "{told}"']
    assert getattr(shop.conf, setting) == told


@pytest.mark.parametrize(
    ("told", "setting"),
    [
        ("redis://redis:6379/0", "redis://redis"),
        ("redis://127.0.0.1", "redis://localhost/0"),
        ("memory://;redis://a", ["memory://", "redis://a:6379/0"]),
        ("amqp://me:pw@host//", "amqp://me:pw@host:5672//"),
        ("redis://:p%2Fw@host", "redis://:p%2fw@host"),
    ],
)
def test_W073__is_silent_for_two_spellings(shop: Any, monkeypatch: pytest.MonkeyPatch, told: str, setting: Any) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", told)
    shop.conf.broker_url = setting
    assert ids() == []


@pytest.mark.parametrize(
    ("told", "setting"),
    [
        ("redis://:one@host", "redis://:two@host"),
        ("redis://one:pw@host", "redis://two:pw@host"),
        ("redis://host/0", "rediss://host/0"),
        ("redis://host/0", "redis://host/1"),
        ("redis://host:1/0", "redis://host:2/0"),
        ("redis://host/0", "redis://host/0?client_name=a"),
        ("redis+socket:///a", "redis+socket:///b"),
        ("redis://host/0;redis://other", "redis://host/0"),
        ("redis://one:port", "redis://two:port"),
    ],
)
def test_W073__every_part_of_the_url_counts(
    shop: Any, monkeypatch: pytest.MonkeyPatch, told: str, setting: str
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", told)
    shop.conf.broker_url = setting
    assert ids("W078") == ["W073"]


def test_W073__compares_names_that_are_no_urls(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "rpc")
    shop.conf.result_backend = "disabled"
    assert ids() == ["W073"]
    shop.conf.result_backend = "rpc"
    assert ids() == []


@pytest.mark.parametrize(("told", "setting"), [("", "memory://"), ("memory://", None)])
def test_W073__is_silent_if_one_of_them_says_nothing(
    brokerless: Any, monkeypatch: pytest.MonkeyPatch, told: str, setting: Any
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", told)
    brokerless.conf.broker_url = setting
    assert ids() == []


def test_W073__shows_each_url_of_a_list(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://redis")
    shop.conf.broker_url = ["memory://", "redis://:secret@a"]
    ((_, sentence, _),) = found()
    assert 'and "memory://;redis://:**@a" in the settings' in sentence
