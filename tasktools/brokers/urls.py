"""Say what is wrong with a URL that kombu or a client refuses, without showing any part that may be a password."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

QUOTE = (
    "write what a URL does not take in a password in its other form: / is %2F, ? is %3F, # is %23, @ is %40, : is %3A"
)

#: What helps against a port that is none, in a URL without a password in which a character is not quoted.
PORT = "write the port as a number up to 65535"

#: What is wrong with it, in a sentence.
NO_PORT = "its port is not a number from 0 to 65535"

#: URLs with a port, by what their schemes begin with.
_EXAMPLES = {
    "redis": "redis://localhost:6379/0",
    "amqp": "amqp://localhost:5672//",
    "pyamqp": "amqp://localhost:5672//",
    "sentinel": "sentinel://localhost:26379",
}

_PARAMETER = re.compile(r"(unexpected|multiple values for) keyword argument '(\w+)'")


#: How kombu begins what it says of a scheme that it does not know.
_UNKNOWN = ("No such transport", "Invalid transport scheme")


def flaw(url: Any, error: Exception, setting: str = "CELERY_BROKER_URL") -> tuple[str, str]:
    """Return the rest of a sentence that begins with the broker, and a hint, for an error in its URL.

    `setting` is where the URL is.
    """
    said = str(error.args[0]) if error.args else ""
    if isinstance(error, (KeyError, ValueError)) and said.startswith(_UNKNOWN):
        hint = f"set {setting} to a URL such as redis://localhost:6379/0 or amqp://localhost"
        return f"is of no kind that kombu knows: {said}", hint
    hint = port_hint(url, error)
    if hint:
        return f"cannot be used: {NO_PORT}", hint
    named = _PARAMETER.search(str(error))
    if named and _is_parameter(url, named[2]):
        where = "CELERY_BROKER_TRANSPORT_OPTIONS"
        if named[1] == "unexpected":
            return f'cannot be used: its URL takes no parameter "{named[2]}"', f"leave it out, or set it in {where}"
        why = f'cannot be used: its parameter "{named[2]}" has a place of its own ahead of the "?"'
        return why, "write the URL as redis://USER:PASSWORD@HOST:PORT/DATABASE, without that parameter"
    if isinstance(error, ValueError):
        return "cannot be used: its URL cannot be taken apart", QUOTE
    hint = f"fix {setting}, or install its library; --traceback shows where it fails"
    return f"cannot be used ({type(error).__name__})", hint


def port_hint(url: Any, error: BaseException) -> str:
    """Return a hint if Python found no port in a URL, for example because a password has a `/` in it; else ""."""
    text = str(error) if isinstance(error, ValueError) else ""
    if not text.startswith(("Port could not be cast", "Port out of range")):
        return ""
    urls = _urls(url)
    return QUOTE if any("@" in _after_the_place(each) for each in urls) else _port_remedy(urls)


def port_flaw(url: str) -> str:
    """Return the hint of `port_hint` for a URL that has no port where one should be, else ""."""
    try:
        urlsplit(f"http://{url.partition('://')[2]}").port  # noqa: B018 - reads it, as kombu does
    except ValueError as error:
        return port_hint(url, error)
    return ""


def _after_the_place(url: str) -> str:
    """Return what follows the host and the port: with an `@` in it, the host was the beginning of a user and a password."""
    return without_parameters("".join(re.split("([/?#])", url.partition("://")[2], maxsplit=1)[1:]))


def without_parameters(tail: str) -> str:
    """Return what follows host and port without `NAME=VALUE` after a database: an `@` in a value is not the end of a password."""
    return re.sub(r"\A(/\w*)\?\w+=.*", r"\1", tail)


def _port_remedy(urls: list[str]) -> str:
    scheme = next((each.partition("://")[0].lower() for each in urls if "://" in each), "")
    example = next((url for start, url in _EXAMPLES.items() if scheme.startswith(start)), "")
    return f"{PORT}, as in {example}" if example else PORT


def _urls(url: Any) -> list[str]:
    listed = url if isinstance(url, (list, tuple)) else [url]
    return [part for each in listed for part in str(each).split(";")]


def _is_parameter(url: Any, name: str) -> bool:
    """Whether it is a parameter, and not a part of a password that has a `?` in it."""
    urls = url if isinstance(url, (list, tuple)) else [url]
    return any(re.search(rf"[?&]{name}=[^@]*\Z", str(each).split(";")[0]) for each in urls)
