from __future__ import annotations

import time
from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject

from tasktools.brokers.masking import hide, hider, masked
from tasktools.discovery.celery_app import described


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
        ("redis:/://secret@localhost", "redis:/:**@localhost"),
        ("me://secret@localhost", "me://**@localhost"),
        ("me://secret/@localhost", "me://**@localhost"),
        ("me:/secret@localhost:6379/0?x=a@b", "me:**@b"),
        ("redis:/me:secret@localhost:6379/0?x=a@b", "redis:/me:**@b"),
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


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("redis:/u:secret@host", "redis:/u:**@host"),
        ("redis:u:secret@host", "redis:**@host"),
        ("u:secret@host", "u:**@host"),
        ("redis//u:secret@host", "redis//u:**@host"),
        ("A;redis://:secret@B", "A;redis://:**@B"),
        ("redis://us/er:secret@host", "redis://us/er:**@host"),
        ("redis://secret@host:6379/0", "redis://**@host:6379/0"),
        ("amqp://me%3Asecret@host", "amqp://**@host"),
        ("redis://me:secret", "redis://me:**"),
        ("redis://:secret#x", "redis://:**"),
        ("redis://host:6379", "redis://host:6379"),
        ("redis://host:/0", "redis://host:/0"),
        ("amqp://host:5672//name", "amqp://host:5672//name"),
    ],
)
def test_masked__malformed(url: str, printed: str) -> None:
    assert masked(url) == printed


@pytest.mark.parametrize("url", ["redis://:another@host", "redis://me:another#cut"])
@pytest.mark.parametrize("before", ["\x1b[31m", "1", "-", "x" * 50])
def test_hidden__of_a_url_that_follows_other_text_without_a_space(before: str, url: str) -> None:
    assert "another" not in hider({})(f"{before}{url}")


SETTINGS = {
    "broker_url": "redis://:s3cr3tPW#x@redis:6379/0;sentinel://me:an%20Other@b",
    "broker_transport_options": {"sentinel_kwargs": {"password": "inOptions"}, "sentinels": [("a", 1)]},
    "result_backend": "db+postgresql://shop:shop@db/shop",
    "redis_password": "guest",
    "s3_secret_access_key": "abc/def+ghi==",
    "mongodb_backend_settings": {"password": b"asBytes"},
    "beat_schedule": {"one": {"args": ("user@example.org",)}},
}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Port could not be cast to integer value as 's3cr3tPW'", "Port could not be cast to integer value as '**'"),
        ("Error 8 connecting to s3cr3tpw:6379.", "Error 8 connecting to **:6379."),
        ("an Other, an%20Other, an+Other, 'an Other'", "**, **, **, '**'"),
        ("{'password': 'inOptions'}", "{'password': '**'}"),
        ("AUTH inOptionsx asBytes", "AUTH **x **"),
        ("Authorization: abc%2Fdef%2Bghi%3D%3D", "Authorization: **"),
        ("redis://unknown:pass@c and amqps:/x:y@z", "redis://unknown:**@c and amqps:/x:**@z"),
        ("host?password=unknown&db=1", "host?password=**&db=1"),
        ("x;sentinel://a:one@b;sentinel://c:two@d", "x;sentinel://a:**@b;sentinel://c:**@d"),
        # What is shown anyway, or is a word of ours, blots out nothing.
        ("guest may not read shop of user@example.org", "guest may not read shop of user@example.org"),
        ("celery@web1 runs shop.add with redis", "celery@web1 runs shop.add with redis"),
        ("no password at all: 12:30 a@b", "no password at all: 12:30 a@b"),
    ],
)
def test_hider__in_a_text(text: str, hidden: str) -> None:
    assert hider(SETTINGS)(text) == hidden


def test_hider__a_short_password_is_hidden_as_a_word() -> None:
    hide = hider({"broker_url": "amqp://me:hare@host"})
    assert hide("hare, 'hare', share, harem") == "**, '**', share, harem"


def test_hider__knows_nothing_and_hides_what_urls_show() -> None:
    assert hider({})("redis://:x@y z") == "redis://:**@y z"


def test_hider__of_a_thousand_settings_takes_a_long_text_in_its_stride() -> None:
    hide = hider({f"password_{number}": f"secret{number}" for number in range(100)})
    assert hide("x secret7 " * 10_000) == "x ** " * 10_000


#: As long as those of IAM, and JWTs, are.
TOKEN = "eyJ0eXAi." * 45


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"cannot parse redis://u:{TOKEN}@host/0", "cannot parse redis://u:**@host/0"),
        (f"cannot parse redis://u:{TOKEN}", "cannot parse redis://u:**."),
        ("cannot parse 'redis://u:eyJ0'", "cannot parse 'redis://u:**'"),
        ("cut: amqp://:9secr", "cut: amqp://:**"),
        # As pydantic cuts a value in the middle.
        ("input_value='redis://me:verysecre...st.example.org/0', x", "input_value='redis://me:**', x"),
        ("input_value='redis://myuser:1234...st.example.org/0', x", "input_value='redis://myuser:**', x"),
        ("input_value={'u': 'amqp://me...password@host/0'}", "input_value={'u': 'amqp://**@host/0'}"),
        ("input_value={'a': 'x', 'ur...password@host/0'}", "input_value={'a': 'x', 'ur...**@host/0'}"),
        ("a...b celery@web1", None),
        ("redis://u:**, redis://u:**@h", "redis://u:**, redis://u:**@h"),
        ("see http://h:8000/a:b, redis://h:6379;redis://[::1]:6380 and amqp://h:", None),
    ],
)
def test_hide__a_long_password_and_one_that_was_cut(text: str, hidden: str | None) -> None:
    assert hide(text) == (text if hidden is None else hidden)


@pytest.mark.parametrize("part", ["abc", "a", "it's", "a\"b'c", "a\\"])
def test_hide__what_python_takes_for_a_port(part: str) -> None:
    text = f'Port could not be cast to integer value as {part!r}. It\'s "so".'
    quote = repr(part)[0]
    assert hide(text) == f'Port could not be cast to integer value as {quote}**{quote}. It\'s "so".'


def test_told__half_a_long_password_is_not_shown() -> None:
    assert (
        described(ValueError(f"cannot parse redis://u:{TOKEN}@host/0"))
        == "ValueError: cannot parse redis://u:**@host/0"
    )


@pytest.mark.parametrize(
    "unit",
    [
        "a:/:",
        "a://b:",
        "a://b:@",
        "a://b:x@ ",
        "a:/:@;",
        ";a:/",
        "redis+",
        "http://",
        "a.",
        "@",
        "x://u:)",
        ")",
        "...",
        "...@",
    ],
)
def test_hide__takes_linear_time(unit: str) -> None:
    text = "x://u:p" + unit * (400_000 // len(unit)) + "x"
    began = time.process_time()
    hide(text)
    assert time.process_time() - began < 10  # quadratic would be minutes


def broken() -> str:
    raise ValueError("no settings yet")


def around() -> dict[str, object]:
    found: dict[str, object] = {"password": "zebra77x"}
    found["itself"] = [found, found]
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"PASSWORD": "zebra77x"},
        {"PASSWORD": SimpleLazyObject(lambda: "zebra77x")},
        {"BROKER_URL": SimpleLazyObject(lambda: "redis://:zebra77x@h/0")},
        {"RESULT_BACKEND": SimpleLazyObject(broken), "PASSWORD": "zebra77x"},
        {"CACHES": around()},
        {"options": {"pass": "zebra77x"}},
        {"options": {"auth": ("me", "zebra77x")}},
        {"options": {"headers": {"Authorization": "Bearer zebra77x"}}},
        {"options": {"conn": "AccountKey=zebra77x;Endpoint=h"}},
        {"options": {"login_response": "zebra77x"}},
    ],
)
def test_hider__knows_secrets_of_every_form(settings: dict[str, object]) -> None:
    assert hider(settings)("it said zebra77x") == "it said **"


def test_hider__knows_numbers() -> None:
    assert hider({"REDIS_PASSWORD": 990011223, "port": 6379})("990011223 at 6379") == "** at 6379"


def test_hider__of_settings_that_are_nested_too_deeply() -> None:
    deep: list[object] = []
    for _ in range(20_000):
        deep = [deep]
    assert hider({"x": deep, "PASSWORD": "zebra77x"})("zebra77x") == "**"
