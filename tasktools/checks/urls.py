"""W070, W071, W073: the URLs of the broker and of the result backend lead to where they are meant to lead."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.arguments.names import close_matches, shown
from tasktools.brokers.addresses import address, servers, urls
from tasktools.brokers.masking import masked
from tasktools.brokers.urls import without_parameters
from tasktools.celery_compat import TRANSPORT_ALIASES
from tasktools.checks import extras
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import tried

#: The ids that this module can give.
IDS = ("tasktools.W070", "tasktools.W071", "tasktools.W073")

#: The library of a transport. The others are kombu's own, or kombu says itself what is missing.
_LIBRARIES = {
    "redis": "redis",
    "rediss": "redis",
    "sentinel": "redis",
    "sqs": "boto3",
    "SQS": "boto3",
    "mongodb": "pymongo",
    "zookeeper": "kazoo",
    "sqla": "sqlalchemy",
    "sqlalchemy": "sqlalchemy",
    "consul": "consul",
    "etcd": "etcd",
    "kafka": "confluent_kafka",
    "confluentkafka": "confluent_kafka",
    "librabbitmq": "librabbitmq",
    "pyro": "Pyro4",
}

#: The schemes whose URL is taken apart by the rules of a web address.
TAKEN_APART = frozenset({"redis", "rediss", "sentinel", "amqp", "amqps", "pyamqp", "librabbitmq", "sqs", "SQS"})

#: A variable of the environment that Celery reads, and the settings that it hides (celery.app.utils.Settings).
_VARIABLES = {
    "CELERY_BROKER_URL": ("broker_url", "broker_host"),
    "CELERY_BROKER_WRITE_URL": ("broker_write_url",),
    "CELERY_BROKER_READ_URL": ("broker_read_url",),
    "CELERY_RESULT_BACKEND": ("result_backend", "CELERY_RESULT_BACKEND"),
}

_QUOTED = {"/": "%2F", "?": "%3F", "#": "%23", "[": "%5B", "]": "%5D", "%": "%25"}


def check(found: Found) -> list[CheckMessage]:
    """Check the URLs as Celery sees them. No server is asked."""
    messages: list[CheckMessage] = []
    for server in servers(found.app):
        character = unquoted(server.url)
        if character:
            messages.append(_unquoted(server.setting, server.url, character))
        elif server.is_broker and not found.app.conf.broker_transport:
            messages += _without_library(server.setting, server.url)
    return [*messages, *_contradicted(found.app.conf)]


def _without_library(setting: str, url: str) -> Iterator[CheckMessage]:
    kind = url.partition("://")[0].partition("+")[0]
    known = TRANSPORT_ALIASES.here()
    if kind in known:
        library = _LIBRARIES.get(kind)
        if library and tried(lambda: find_spec(library), lambda _: None) is None:
            sentence = f'{setting} is "{masked(url)}", and the library {library} is not installed: nothing can be sent.'
            yield CheckWarning(sentence, hint=f"pip install {extras.source_of(library)}", id="tasktools.W070")
    elif "." not in kind:  # else it may be the path of a class
        sentence = f'{setting} is "{masked(url)}", and kombu knows no transport "{shown(kind)}": nothing can be sent.'
        close = ["amqp"] if kind == "rabbitmq" else close_matches(kind, known)
        hint = (
            f"did you mean {close[0]}://?"
            if close
            else "write a URL such as redis://localhost:6379/0 or amqp://localhost"
        )
        yield CheckWarning(sentence, hint=hint, id="tasktools.W070")


def unquoted(url: str) -> str:
    """Return a character that must be quoted in the password of a URL and is not, "" if none is sure to be one.

    An `@` does no harm: the last one counts.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in TAKEN_APART:
        return ""
    netloc = re.split("[/?#]", rest)[0]
    tail = rest[len(netloc) :]
    if "@" not in netloc:
        return tail[0] if "@" in without_parameters(tail) and _is_cut_off(netloc) else ""
    if scheme in ("redis", "rediss") and "@" in re.split("[?#]", tail)[0]:  # a database is a number
        return tail[0]
    if ("[" in netloc) != ("]" in netloc):
        return "[" if "[" in netloc else "]"
    password = netloc.rpartition("@")[0].partition(":")[2]
    return "%" if _is_mangled(password) else ""


def _is_cut_off(netloc: str) -> bool:
    """Whether the beginning of a password stands where the port should be. `host:6379` is a place."""
    host, colon, port = netloc.rpartition(":")
    return bool(colon) and not (host and (port.isdigit() or not port))


def _is_mangled(password: str) -> bool:
    """Whether a `%` in a password begins what nobody has quoted: a letter, a digit, or no character at all.

    In a password that is quoted from end to end, even letters are.
    """
    if not re.fullmatch("(%[0-9A-Fa-f]{2})+", password):
        for code in re.findall("%[0-9A-Fa-f]{2}", password):
            if unquote_to_bytes(code).isalnum():
                return True
    try:
        unquote_to_bytes(password).decode()
    except UnicodeDecodeError:
        return True
    return False


def _unquoted(setting: str, url: str, character: str) -> CheckMessage:
    effect = "Celery reads another password" if character == "%" else "Celery reads another host, or none"
    sentence = f'The password in {setting}, "{masked(url)}", has a "{character}" that is not quoted: {effect}.'
    hint = f'write {_QUOTED[character]} for each "{character}" in it, or urllib.parse.quote(password, safe="")'
    return CheckWarning(sentence, hint=hint, id="tasktools.W071")


def _contradicted(conf: Any) -> Iterator[CheckMessage]:
    for name, settings in _VARIABLES.items():
        variable, setting = os.environ.get(name), conf.first(*settings)
        if not variable or not setting or _meaning(variable) == _meaning(setting):
            continue
        sentence = (
            f'{name} is "{masked(variable)}" in the environment and "{masked(setting)}" in the settings: '
            "Celery takes the first one."
        )
        hint = f'{name} = os.environ["{name}"] in the settings, or unset one of the two'
        yield CheckWarning(sentence, hint=hint, id="tasktools.W073")


def _meaning(value: Any) -> Any:
    """Return what two spellings of the same URLs have in common."""
    return [address(each) or each for each in urls(value)] or value
