"""Say what is wrong with a URL that kombu or a client refuses, without showing any part that may be a password."""

from __future__ import annotations

import re
from typing import Any

QUOTE = (
    "write what a URL does not take in a password in its other form: / is %2F, ? is %3F, # is %23, @ is %40, : is %3A"
)

_FIX = "fix CELERY_BROKER_URL, or install its library; --traceback shows where it fails"

_PARAMETER = re.compile(r"(unexpected|multiple values for) keyword argument '(\w+)'")


def flaw(url: Any, error: Exception) -> tuple[str, str]:
    """Return the rest of a sentence that begins with the broker, and a hint, for an error in its URL."""
    if isinstance(error, KeyError) and str(error.args[0] if error.args else "").startswith("No such transport"):
        hint = "set CELERY_BROKER_URL to a URL such as redis://localhost:6379/0 or amqp://localhost"
        return f"is of no kind that kombu knows: {error.args[0]}", hint
    hint = port_hint(error)
    if hint:
        return "cannot be used: what stands where its port should be is none", hint
    named = _PARAMETER.search(str(error))
    if named and _is_parameter(url, named[2]):
        where = "CELERY_BROKER_TRANSPORT_OPTIONS"
        if named[1] == "unexpected":
            return f'cannot be used: its URL takes no parameter "{named[2]}"', f"leave it out, or set it in {where}"
        why = f'cannot be used: its parameter "{named[2]}" has a place of its own ahead of the "?"'
        return why, "write the URL as redis://USER:PASSWORD@HOST:PORT/DATABASE, without that parameter"
    if isinstance(error, ValueError):
        return "cannot be used: its URL cannot be taken apart", QUOTE
    return f"cannot be used ({type(error).__name__})", _FIX


def port_hint(error: BaseException) -> str:
    """Return a hint if Python found no port in a URL, for example because a password has a `/` in it; else ""."""
    text = str(error) if isinstance(error, ValueError) else ""
    return QUOTE if text.startswith(("Port could not be cast", "Port out of range")) else ""


def _is_parameter(url: Any, name: str) -> bool:
    """Whether it is a parameter, and not a part of a password that has a `?` in it."""
    urls = url if isinstance(url, (list, tuple)) else [url]
    return any(re.search(rf"[?&]{name}=[^@]*\Z", str(each).split(";")[0]) for each in urls)
