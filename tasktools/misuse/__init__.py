"""Warnings of what works on a developer's machine and fails in production, with file and line of the caller."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.core.signals import setting_changed

from tasktools import conf

_Method = Callable[..., Any]


def start(**_: Any) -> None:
    """Look at each call of a task and each wait for a result in this process, if DEBUG or a setting says so.

    A method of Celery is replaced once. Whether to warn is read from the settings each time.
    """
    if not conf.warns_at_all():
        return
    from tasktools.misuse import calls, waiting

    for owner, name, wrapper in (*calls.METHODS, *waiting.METHODS):
        method = getattr(owner, name)
        if not is_watched(method):
            watched = functools.wraps(method)(wrapper(method))
            vars(watched)["watched_by"] = start
            setattr(owner, name, watched)


def is_watched(method: object) -> bool:
    """Whether `method` is one that is replaced here; `method.__wrapped__` is Celery's then."""
    return getattr(method, "watched_by", None) is start


setting_changed.connect(start)
