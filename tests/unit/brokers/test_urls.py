from __future__ import annotations

import pytest
from celery import Celery

from tasktools.brokers import broker_of
from tasktools.brokers.urls import PORT, QUOTE
from tasktools.exceptions import ConfigurationError

TAKEN = "write the URL as redis://USER:PASSWORD@HOST:PORT/DATABASE, without that parameter"


@pytest.mark.parametrize(
    ("url", "sentence", "hint"),
    [
        (
            "redis://:pw12345@127.0.0.1:1/0?foo=bar",
            'The broker "redis://:**@127.0.0.1:1/0?foo=bar" cannot be used: its URL takes no parameter "foo".',
            "leave it out, or set it in CELERY_BROKER_TRANSPORT_OPTIONS",
        ),
        (
            "redis://:verysecretlong/xyz@127.0.0.1:17010/0",
            'The broker "redis://:**@127.0.0.1:17010/0" cannot be used: its port is not a number from 0 to 65535.',
            QUOTE,
        ),
        (
            "redis://user:pw12345@host:port/0",
            'The broker "redis://user:**@host:port/0" cannot be used: its port is not a number from 0 to 65535.',
            f"{PORT}, as in redis://localhost:6379/0",
        ),
        (
            "redis://host:port/0?client_name=a@b",
            'The broker "redis://host:**@b" cannot be used: its port is not a number from 0 to 65535.',
            f"{PORT}, as in redis://localhost:6379/0",
        ),
        (
            "redis://:pw12345?x@127.0.0.1:1/0",
            'The broker "redis://:**@127.0.0.1:1/0" cannot be used: its port is not a number from 0 to 65535.',
            QUOTE,
        ),
        (
            "amqp://user:pw12345@host:99999//",
            'The broker "amqp://user:**@host:99999//" cannot be used: its port is not a number from 0 to 65535.',
            f"{PORT}, as in amqp://localhost:5672//",
        ),
        (
            "redis://127.0.0.1:99999/0",
            'The broker "redis://127.0.0.1:99999/0" cannot be used: its port is not a number from 0 to 65535.',
            f"{PORT}, as in redis://localhost:6379/0",
        ),
        (
            "redis://127.0.0.1:1/0?password=x",
            'The broker "redis://127.0.0.1:1/0?password=**" cannot be used: its parameter "password" has a place of its own'
            ' ahead of the "?".',
            TAKEN,
        ),
        (
            "redis://:[x@127.0.0.1:1/0",
            'The broker "redis://:**@127.0.0.1:1/0" cannot be used: its URL cannot be taken apart.',
            QUOTE,
        ),
        (
            "redis://host:1/x?secret=me@host",
            'The broker "redis://host:**@host" cannot be used (TypeError).',
            "fix CELERY_BROKER_URL, or install its library; --traceback shows where it fails",
        ),
        (
            "rediss://:pw12345@host?ssl_cert_reqs=nonsense",
            'The broker "rediss://:**@host?ssl_cert_reqs=nonsense" cannot be used (KeyError).',
            "fix CELERY_BROKER_URL, or install its library; --traceback shows where it fails",
        ),
        (
            "nosuch://host",
            'The broker "nosuch://host" is of no kind that kombu knows: No such transport: nosuch.',
            "set CELERY_BROKER_URL to a URL such as redis://localhost:6379/0 or amqp://localhost",
        ),
        (
            "shop.nosuch.Transport://host",
            'The broker "shop.nosuch.Transport://host" is of no kind that kombu knows: '
            "Invalid transport scheme: 'shop.nosuch.transport'.",
            "set CELERY_BROKER_URL to a URL such as redis://localhost:6379/0 or amqp://localhost",
        ),
    ],
)
def test_broker_of__what_is_wrong_with_its_url(url: str, sentence: str, hint: str) -> None:
    app = Celery("shop", broker=url, set_as_current=False)
    with pytest.raises(ConfigurationError) as caught:
        broker_of(app)
    app.close()
    assert (caught.value.sentence, caught.value.hint) == (sentence, hint)
