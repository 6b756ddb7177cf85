from __future__ import annotations

from typing import Any

import pytest

from tasktools.masking import masked


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis+socket:///run/valkey.sock?virtual_host=1", "redis+socket:///run/valkey.sock?virtual_host=1"),
        ("amqp://", "amqp://"),
        ("memory://", "memory://"),
        ("localhost", "localhost"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("amqp://guest@localhost//", "amqp://guest@localhost//"),
        ("", ""),
        (None, ""),
    ],
)
def test_masked__without_a_password_the_url_as_it_is(url: Any, printed: str) -> None:
    assert masked(url) == printed


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("redis://:secret@localhost:6379/0", "redis://:**@localhost:6379/0"),
        ("rediss://user:secret@[::1]:6379/0", "rediss://user:**@[::1]:6379/0"),
        ("redis://:@localhost", "redis://:**@localhost"),
        ("amqp://guest:secret@localhost:5672//", "amqp://guest:**@localhost:5672//"),
        ("pyamqp://guest:sec%40ret@localhost//", "pyamqp://guest:**@localhost//"),
        ("sqs://AKIA:sec/ret+=@", "sqs://AKIA:**@"),
        ("db+postgresql://user:secret@host/name", "db+postgresql://user:**@host/name"),
        ("mongodb://user:secret@one,two:27017/name", "mongodb://user:**@one,two:27017/name"),
        ("azureservicebus://policy:secret=@namespace", "azureservicebus://policy:**@namespace"),
        ("confluentkafka://user:secret@host:9092", "confluentkafka://user:**@host:9092"),
        ("redis://user:sec\nret@host", "redis://user:**@host"),
    ],
)
def test_masked__hides_the_password(url: str, printed: str) -> None:
    assert masked(url) == printed


@pytest.mark.parametrize(
    "odd", ["@", "@@", "/", ";", "?", "#", ":", "@host:1/?a=b;c#d@", "//", "://", "%", "&x=", "\\"]
)
def test_masked__whatever_stands_in_the_password(odd: str) -> None:
    assert masked(f"redis://user:sec{odd}ret@host:6379/0") == "redis://user:**@host:6379/0"


def test_masked__a_user_with_a_domain() -> None:
    assert "secret" not in masked("db+postgresql://user@server:secret@server.example.org/name")


@pytest.mark.parametrize("url", ["redis://secret:x/y@host", "redis://user:x@secret@host"])
def test_masked__what_follows_the_first_colon_never_shows(url: str) -> None:
    shown = masked(url)
    assert shown.endswith(":**@host")
    assert "x" not in shown.partition("://")[2]


def test_masked__several_urls_in_one_text() -> None:
    urls = "sentinel://:one@a:26379/0;sentinel://user:two;three@b:26379;sentinel://c:26379"
    assert masked(urls) == "sentinel://:**@a:26379/0;sentinel://user:**@b:26379;sentinel://c:26379"


@pytest.mark.parametrize("kind", [list, tuple])
def test_masked__several_urls_in_a_list(kind: type) -> None:
    assert masked(kind(["amqp://a:one@x", "amqp://b:two@y"])) == "amqp://a:**@x;amqp://b:**@y"


@pytest.mark.parametrize("separator", [", ", " ", ","])
def test_masked__several_urls_with_another_separator_hide_rather_too_much(separator: str) -> None:
    shown = masked(f"amqp://a:one@x{separator}amqp://b:two@y")
    assert shown == "amqp://a:**@y"


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("redis://host/0?password=secret", "redis://host/0?password=**"),
        ("redis://host/0?password=sec/ret@x&db=1", "redis://host/0?password=**&db=1"),
        ("redis://host/0?db=1&PASSWORD=secret&x=2", "redis://host/0?db=1&PASSWORD=**&x=2"),
        ("kafka://host?sasl_password=secret", "kafka://host?sasl_password=**"),
        ("sqs://host?session_token=secret", "sqs://host?session_token=**"),
        (
            "azureblockblob://DefaultEndpointsProtocol=https;AccountName=me;AccountKey=sec==;EndpointSuffix=x",
            "azureblockblob://DefaultEndpointsProtocol=https;AccountName=me;AccountKey=**;EndpointSuffix=x",
        ),
        ("redis://user:one@host/0?password=two", "redis://user:**@host/0?password=**"),
        ("db+mysql://host/name?passwd=secret", "db+mysql://host/name?passwd=**"),
        ("db+mssql://host/name?uid=me&pwd=secret", "db+mssql://host/name?uid=me&pwd=**"),
    ],
)
def test_masked__passwords_among_the_parameters(url: str, printed: str) -> None:
    assert masked(url) == printed


def test_masked__a_sentence_about_a_url() -> None:
    assert masked("Connection to redis://:secret@host:6379 lost") == "Connection to redis://:**@host:6379 lost"
