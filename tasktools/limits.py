"""Calls that may hang -> calls that end in time. Pure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class TimedOut(Exception):
    """The call had not returned within its limit. It goes on in a daemon thread, which nobody waits for."""


class _Outcome(Generic[T]):
    value: T
    error: BaseException | None = None


def within(seconds: float, call: Callable[..., T], *args: Any) -> T:
    """Return `call(*args)`, run in a thread of its own: no socket option bounds every wait of every transport.

    Raises TimedOut after `seconds`, and whatever the call raises.
    """
    outcome: _Outcome[T] = _Outcome()

    def run() -> None:
        try:
            outcome.value = call(*args)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            outcome.error = error

    thread = threading.Thread(target=run, daemon=True, name=f"within {seconds:g} s")
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimedOut
    if outcome.error is not None:
        raise outcome.error
    return outcome.value
