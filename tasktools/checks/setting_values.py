"""The value of a setting, in a form that a message can show."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tasktools import render
from tasktools.arguments.names import shown
from tasktools.brokers.masking import SECRET, masked
from tasktools.checks import kinds

#: Settings whose value may be a URL, with or without a scheme.
_URL = re.compile("broker|backend|url|uri|dsn|location|host", re.IGNORECASE)

_PLAIN = (bool, int, float, str, timedelta, type(None))


def text_of(name: str, value: Any, hide: Callable[[str], str]) -> str:
    """Return the value of a setting as Python, without passwords; "" if it may hold one that nobody knows.

    `name` is Celery's. Passwords are hidden before the text is cut: half a password is not recognized.
    """
    if name in kinds.DICTIONARIES or SECRET.search(name) or not _is_plain(value):
        return ""
    return shown(hide(render.repr_of(_masked(value) if _URL.search(name) else value)))


def kind_of(value: Any) -> str:
    """Return the type of a value, as "a tuple"."""
    kind = type(value).__name__
    return shown(f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}")


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) in (list, tuple) and all(type(each) in _PLAIN for each in value))


def _masked(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_masked(each) for each in value)
    return masked(value) if isinstance(value, str) else value
