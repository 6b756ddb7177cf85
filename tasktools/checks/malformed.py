"""W078, W079: the broker's URL is a URL, its port is a number, and Celery knows the kind of the result backend."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

from celery.app.backends import BACKEND_ALIASES
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.arguments.names import close_matches, shown
from tasktools.brokers.addresses import servers
from tasktools.brokers.masking import masked
from tasktools.brokers.urls import NO_PORT, port_flaw
from tasktools.checks.urls import TAKEN_APART, unquoted
from tasktools.discovery.celery_app import Found

#: The ids that this module can give.
IDS = ("tasktools.W078", "tasktools.W079")

_URL = "write a URL such as redis://localhost:6379/0 or amqp://localhost"

#: What brings a result backend that is none of Celery's own.
_DISTRIBUTIONS = {"django-db": "django-celery-results", "django-cache": "django-celery-results"}


def check(found: Found) -> list[CheckMessage]:
    """Check what stands in the URLs. No server is asked."""
    return [*_broker(found.app.conf), *_database(found), *_port(found), *_backend(found.app.conf.result_backend)]


def _broker(conf: Any) -> Iterator[CheckMessage]:
    """Warn of text without a scheme: kombu takes it for the host of a RabbitMQ."""
    url = conf.broker_url
    if isinstance(url, str) and url and "://" not in url and not conf.broker_transport:
        sentence = (
            f'CELERY_BROKER_URL is "{shown(masked(url))}", which has no scheme: Celery looks for a RabbitMQ there.'
        )
        yield CheckWarning(sentence, hint=_URL, id="tasktools.W078")


def _database(found: Found) -> Iterator[CheckMessage]:
    for server in servers(found.app):
        place = server.address
        if place is None or place.kind != "redis" or place.database.isdigit():
            continue
        if place.socket and "virtual_host=" not in server.url:
            continue  # kombu ignores ?db=
        sentence = f'{server.setting} is "{shown(masked(server.url))}", and the databases of a Redis are numbers.'
        url = "redis+socket:///PATH?virtual_host=0" if place.socket else "redis://localhost:6379/0"
        yield CheckWarning(sentence, hint=f"{url}, for example", id="tasktools.W078")


def _port(found: Found) -> Iterator[CheckMessage]:
    for server in servers(found.app):
        hint = port_flaw(server.url) if server.url.partition("://")[0] in TAKEN_APART else ""
        if hint and not unquoted(server.url):  # of a password, W071 says more
            sentence = f'{server.setting} is "{shown(masked(server.url))}", and {NO_PORT}.'
            yield CheckWarning(sentence, hint=hint, id="tasktools.W078")


def _backend(url: Any) -> Iterator[CheckMessage]:
    name = url.partition("://")[0].partition("+")[0] if isinstance(url, str) else ""
    if not name or name in BACKEND_ALIASES or "." in name or ":" in name:  # the last two are paths of classes
        return
    if any(each.name == name for each in entry_points(group="celery.result_backends")):
        return
    sentence = f'CELERY_RESULT_BACKEND is "{shown(masked(url))}", and Celery knows no result backend "{shown(name)}".'
    close = close_matches(name, BACKEND_ALIASES)
    hint = (
        f"did you mean {close[0]}{url[len(name) :] if '@' not in url else '://'}?"
        if close
        else "redis://localhost:6379/1"
    )
    if name in _DISTRIBUTIONS:
        hint = f"pip install {_DISTRIBUTIONS[name]}"
    yield CheckWarning(sentence, hint=hint, id="tasktools.W079")
