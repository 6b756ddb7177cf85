from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from kombu.utils.url import parse_url

from tasktools.checks.urls import unquoted
from tests.checks.conftest import found, ids


def test_W071__fires_and_shows_no_password(shop: Any) -> None:
    shop.conf.broker_url = "redis://:pa/ss@redis.example:6379/0"
    assert found() == [
        (
            "tasktools.W071",
            'The password in CELERY_BROKER_URL, "redis://:**@redis.example:6379/0", has a "/" that is not quoted: '
            "Celery reads another host, or none.",
            'write %2F for each "/" in it, or urllib.parse.quote(password, safe="")',
        )
    ]


def test_W071__says_what_a_percent_sign_does(shop: Any) -> None:
    shop.conf.result_backend = "redis://:50%30off@localhost/1"
    ((_, sentence, hint),) = found()
    assert sentence == (
        'The password in CELERY_RESULT_BACKEND, "redis://:**@localhost/1", has a "%" that is not quoted: '
        "Celery reads another password."
    )
    assert hint == 'write %25 for each "%" in it, or urllib.parse.quote(password, safe="")'


@pytest.mark.parametrize(
    ("character", "quoted"), [("/", "%2F"), ("?", "%3F"), ("#", "%23"), ("[", "%5B"), ("]", "%5D"), ("%41", "%25")]
)
def test_W071__says_how_to_quote(shop: Any, character: str, quoted: str) -> None:
    shop.conf.broker_url = f"amqp://me:s{character}a@host:5672//"
    (hint,) = (hint for check_id, _, hint in found() if check_id == "tasktools.W071")
    assert hint.startswith(f'write {quoted} for each "{character[0]}" in it')


@pytest.mark.parametrize(
    "scheme", ["redis", "rediss", "sentinel", "amqp", "amqps", "pyamqp", "librabbitmq", "sqs", "SQS"]
)
def test_W071__knows_the_schemes_that_are_taken_apart(scheme: str) -> None:
    assert unquoted(f"{scheme}://me:pa/ss@host") == "/"


@pytest.mark.parametrize(
    ("url", "character"),
    [
        ("amqp://me:pa/ss@host:5672//", "/"),
        ("amqp://me:pa#ss@host:5672//", "#"),
        ("amqp://me:pa?ss@host:5672//", "?"),
        ("redis://:12/34@host:6379/0", "/"),
        ("redis://:/x@host", "/"),
        ("redis://:p@a/ss@host:6379/0", "/"),
        ("rediss://:p@a/ss@host:6379/0", "/"),
        ("sqs://KEY:abc/def@", "/"),
        ("redis://:pa[ss@host:6379/0", "["),
        ("rediss://:pa]ss@host:6379/0", "]"),
        ("redis://:a%41%2F@host/0", "%"),
        ("redis://:100%ab@host/0", "%"),
        ("redis://:%E4@host/0", "%"),
    ],
)
def test_W071__finds_the_character(url: str, character: str) -> None:
    assert unquoted(url) == character


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p@ss@host:6379/0",
        "redis://:pa%2Fss%40@host:6379/0",
        "redis://:%70%61%C3%A4@host:6379/0",
        "redis://:100%@host:6379/0",
        "redis://:100%zz@host:6379/0",
        "redis://:caf%C3%A9@host:6379/0",
        "redis://:pw@[::1]:6379/0",
        "redis://[::1]:6379/0?client_name=a@b",
        "redis://localhost:6379/0?client_name=a@b",
        "redis://localhost:/0?client_name=a@b",
        "redis://localhost:port/0?client_name=a@b",
        "redis://:pw@host/0?client_name=a@b",
        "redis://host/0",
        "redis://host:port/0",
        "redis://:secret",
        "redis://host/a@b",
        "amqp://me:pw@host/v@host",
        "sqs://KEY:secret@",
        "sqla+sqlite:///a:b/c@d",
        "mongodb://me:pa/ss@host",
        "redis+socket:///a:b/c@d",
        "localhost",
    ],
)
def test_W071__is_silent_for_what_may_be_meant(url: str) -> None:
    assert unquoted(url) == ""


def test_W071__is_silent_on_a_site_with_a_quoted_password(shop: Any) -> None:
    shop.conf.broker_url = "redis://:pa%2Fss@redis:6379/0"
    assert ids() == []


@pytest.mark.parametrize("character", "/?#[]")
def test_W071__kombu_needs_the_quotes(character: str) -> None:
    """kombu refuses such a URL, or finds another host in it."""
    assert parse_url(f"redis://:1{quote(character, safe='')}a@host/0")["password"] == f"1{character}a"
    with suppress(ValueError):
        assert parse_url(f"redis://:1{character}a@host/0")["hostname"] != "host"
    assert unquoted(f"redis://:1{character}a@host/0") == character
