from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tasktools.doctor.settings import DEEPEST, settings, source_of, value_of, without_secrets


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An app that reads names with a prefix, and has a setting in code."""
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    made = Celery("shop", set_as_current=False)
    names = {
        "CELERY_BROKER_URL": "redis://me:secret@host/1",
        "CELERY_TASK_ACKS_LATE": True,
        "CELERY_RESULT_BACKEND": None,
    }
    made.config_from_object(SimpleNamespace(**names), namespace="CELERY")
    made.conf.worker_concurrency = 3
    yield made
    made.close()


WRITTEN = {"CELERY_BROKER_URL", "CELERY_TASK_ACKS_LATE"}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("broker_url", "settings: CELERY_BROKER_URL"),
        ("task_acks_late", "settings: CELERY_TASK_ACKS_LATE"),
        ("worker_concurrency", "code"),
        ("result_backend", "default"),
        ("task_default_queue", "default"),
    ],
)
def test_source__is_the_first_place_that_has_it(app: Any, name: str, source: str) -> None:
    assert source_of(app, name, WRITTEN.__contains__) == source


def test_source__of_an_object_that_is_not_django_s_settings(app: Any) -> None:
    assert source_of(app, "task_acks_late", lambda name: False) == "code"


def test_source__the_environment_comes_first(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://other")
    monkeypatch.setenv("CELERY_TASK_ACKS_LATE", "1")  # which Celery does not read
    assert source_of(app, "broker_url", WRITTEN.__contains__) == "environment: CELERY_BROKER_URL"
    assert source_of(app, "task_acks_late", WRITTEN.__contains__) == "settings: CELERY_TASK_ACKS_LATE"


def test_source__of_an_old_name() -> None:
    with Celery("shop", set_as_current=False) as app:
        app.config_from_object(SimpleNamespace(CELERYD_CONCURRENCY=7))
        assert source_of(app, "worker_concurrency", {"CELERYD_CONCURRENCY"}.__contains__) == "an old name of it"
        assert source_of(app, "task_default_exchange", lambda name: False) == "default"


def test_source__the_time_zone_of_django() -> None:
    with Celery("shop", set_as_current=False) as app:
        app.config_from_object(SimpleNamespace(TIME_ZONE="Asia/Tokyo"), namespace="CELERY")
        assert source_of(app, "timezone", {"TIME_ZONE"}.__contains__) == "settings: TIME_ZONE"


def test_source__of_several_is_that_of_the_value_in_use(app: Any) -> None:
    app.conf.broker_url = "redis://in-code"
    source = source_of(app, "broker_url", WRITTEN.__contains__)
    assert source == ("code" if app.conf.broker_url == "redis://in-code" else "settings: CELERY_BROKER_URL")


def test_source__of_the_private_broker() -> None:
    with Celery("shop", set_as_current=False) as app:
        app.conf.broker_url = "tasktools+socket:///srv/valkey.sock"
        app.conf.result_backend = "tasktools.brokers.private_redis.Backend+socket:///srv/valkey.sock"
        app.conf.worker_concurrency = 3
        lines = {line.name: line for line in settings(app, WRITTEN.__contains__)}
    for name in ("broker_url", "result_backend"):
        assert (lines[name].text, lines[name].source) == (
            "redis+socket:///srv/valkey.sock",
            "tasktools: the private Valkey",
        )
    assert lines["worker_concurrency"].source == "code"


def test_settings__those_that_are_not_at_their_defaults_and_a_few_more(app: Any) -> None:
    lines = settings(app, WRITTEN.__contains__)
    names = ["broker_url", "result_backend", "task_acks_late", "task_default_queue", "timezone", "worker_concurrency"]
    assert [line.name for line in lines] == names
    assert [line.text for line in lines] == ["redis://me:**@host/1", "None", "True", "celery", "None", "3"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("beat_schedule", {}, "0 entries"),
        ("beat_schedule", {"nightly": {"args": ["secret"]}}, "1 entry"),
        ("broker_password", "ab", "**"),
        ("security_key_password", b"ab", "**"),
        (
            "broker_transport_options",
            {"sentinel_kwargs": {"password": "ab"}},
            "{'sentinel_kwargs': {'password': '**'}}",
        ),
        ("broker_transport_options", {"global_keyprefix": "ab"}, "{'global_keyprefix': 'ab'}"),
        ("broker_url", ["redis://:ab@host", "redis://:ab@other"], "['redis://:**@host', 'redis://:**@other']"),
        ("task_default_routing_key", "mails", "mails"),
        ("broker_password", "", ""),
        ("broker_password", None, "None"),
        ("task_routes", "x" * 200, "x" * 120 + "…"),
    ],
)
def test_value__is_short_and_without_secrets(name: str, value: object, text: str) -> None:
    assert value_of(name, value) == text


def test_secrets__are_found_in_lists() -> None:
    assert without_secrets("x", ({"token": "ab"}, "y", 3)) == [{"token": "**"}, "y", 3]


@pytest.mark.parametrize(
    "value",
    [
        {"connect_args": {"password": 990011223}},
        {"headers": {"Authorization": "Bearer zebra77x"}},
        {"auth": ("me", "zebra77x")},
        {"conn": "AccountKey=zebra77x;SharedAccessKey=zebra77x"},
        {"user": "u", "pass": "zebra77x"},
        {"login_response": "zebra77x"},
    ],
)
def test_value__shows_no_secret(value: object) -> None:
    text = value_of("broker_transport_options", value)
    assert "**" in text
    assert not {"zebra77x", "990011223"} & set(re.findall(r"\w+", text))


@pytest.mark.parametrize(
    ("name", "value", "bare"),
    [
        ("broker_url", "me:hunter@host", "me:**@host"),
        ("broker_url", "redis://host?password=hunter", "redis://host?password=**"),
        ("x", "a;AccountKey=hunter;b", "a;AccountKey=**;b"),
        ("password", True, True),
        ("password", 1.5, 1.5),
        ("password", 7, "**"),
    ],
)
def test_secrets__of_each_kind_of_value(name: str, value: object, bare: object) -> None:
    assert without_secrets(name, value) == bare


@pytest.mark.parametrize("wrap", [lambda held: [held], lambda held: {"a": held}])
def test_secrets__what_lies_too_deep_is_left_out(wrap: Callable[[object], object]) -> None:
    shown: object = "x"
    hidden: object = ["x"]
    for _ in range(DEEPEST):
        shown, hidden = wrap(shown), wrap(hidden)
    assert without_secrets("name", shown) == shown
    expected: object = "..."
    for _ in range(DEEPEST):
        expected = wrap(expected)
    assert without_secrets("name", hidden) == expected


@pytest.mark.parametrize("name", ["broker_url", "broker_read_url", "broker_write_url", "result_backend"])
def test_source__of_each_setting_that_celery_reads_in_the_environment(
    app: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable = f"CELERY_{name.upper()}"
    monkeypatch.setenv(variable, "memory://")
    assert source_of(app, name, WRITTEN.__contains__) == f"environment: {variable}"


def test_value__of_a_password_that_is_a_number() -> None:
    assert value_of("redis_password", 990011223) == "**"
    assert value_of("redis_port", 6379) == "6379"


def test_value__that_holds_itself() -> None:
    value: dict[str, object] = {"a": 1}
    value["b"] = value
    assert value_of("broker_transport_options", value).startswith("{'a': 1, 'b': {'a': 1,")
