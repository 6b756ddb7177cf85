"""Calls that may hang -> calls that end in time. Pure."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar

from tasktools.environment import monkey

T = TypeVar("T")


class TimedOut(Exception):
    """The call has not returned within its limit."""


class _Outcome(Generic[T]):
    value: T
    error: BaseException | None = None


def within(seconds: float, call: Callable[..., T], *args: Any) -> T:
    """Return `call(*args)`. SIGALRM interrupts it after `seconds`; if the alarm cannot be used, the call runs in a thread.

    In the main thread, the call keeps everything that belongs to its thread and context. No socket option limits every wait
    of every transport. An alarm does, except for the look-up of a host name: see `within_thread`. On gevent and eventlet,
    the alarm would run in the greenlet of their loop.

    Raises TimedOut after `seconds`, and whatever the call raises.
    """
    alarm_is_ours = (
        threading.current_thread() is threading.main_thread() and not signal.getitimer(signal.ITIMER_REAL)[0]
    )
    if not alarm_is_ours or monkey.switches():
        return within_thread(seconds, call, *args)
    return _alarmed(seconds, call, *args)


def within_thread(seconds: float, call: Callable[..., T], *args: Any) -> T:
    """Return `call(*args)`, run in a daemon thread with this thread's context variables.

    Raises TimedOut after `seconds`; the thread then goes on, and nobody waits for it. Also raises whatever the call raises.
    """
    outcome: _Outcome[T] = _Outcome()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.value = context.run(call, *args)
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


def _alarmed(seconds: float, call: Callable[..., T], *args: Any) -> T:
    def ring(signum: int, frame: FrameType | None) -> NoReturn:
        raise TimedOut

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return call(*args)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
