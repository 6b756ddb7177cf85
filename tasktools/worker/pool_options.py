"""Which task a worker gives to its pool, as the options of that call tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery.worker.request import Request

#: The callbacks that Celery passes as methods of its request.
_CALLBACKS = ("accept_callback", "callback", "error_callback", "timeout_callback")


def request_of(options: Mapping[str, Any]) -> Any:
    """Return the request (celery.worker.request.Request) of a call of the pool; None if it is no task.

    A callback may be wrapped, even several times: whoever wraps one uses functools.wraps, which says of what.
    """
    for name in _CALLBACKS:
        callback = options.get(name)
        while callback is not None:
            request = getattr(callback, "__self__", None)
            if isinstance(request, Request):
                return request
            callback = getattr(callback, "__wrapped__", None)
    return None
