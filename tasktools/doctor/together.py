"""Several calls at once, with one limit for all of them: a server that is silent does not take the time of the others."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from tasktools.brokers.timeouts import TimedOut

T = TypeVar("T")


def together(calls: Mapping[str, Callable[[], T]], limit: float) -> dict[str, T | BaseException]:
    """Return by name what each call returns or raises; TimedOut for one that takes longer than `limit` seconds.

    Each runs in a daemon thread with this thread's context variables. Nobody waits for a thread that is late.
    """
    outcomes: dict[str, T | BaseException] = {}
    threads = {name: _started(name, call, outcomes) for name, call in calls.items()}
    deadline = time.monotonic() + limit
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    done = dict(outcomes)  # a late thread may still add its own
    return {name: done.get(name, TimedOut()) for name in calls}


def _started(name: str, call: Callable[[], T], outcomes: dict[str, T | BaseException]) -> threading.Thread:
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcomes[name] = context.run(call)
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            outcomes[name] = error

    thread = threading.Thread(target=run, daemon=True, name=f"doctor: {name}")
    thread.start()
    return thread
