"""Connections to the broker that are kept, each for one call at a time: a web process sends from any thread.

A call of `.delay()` takes four times as long: Celery makes each message anew, and kombu a client of Redis for it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.publishing.batch import Publisher

#: How many connections a process keeps. More are opened where more threads send at the same moment, and closed after that.
MOST_KEPT = 10

_lock = threading.Lock()

#: By their apps, for as long as the process lives: a publisher holds its app.
_kept: dict[Celery, list[Publisher]] = {}

#: What a forked process has inherited: nobody may use these connections, or close them.
_inherited: list[object] = []


@contextlib.contextmanager
def publisher(app: Celery) -> Iterator[Publisher]:
    """Lend a publisher of this app. One inside which an error is raised is not used again."""
    from tasktools.publishing.batch import Publisher  # and redis-py, which a process that sends nothing does not need

    with _lock:
        free = _kept.setdefault(app, [])
        one = free.pop() if free else Publisher(app, is_run=False)
    try:
        yield one
    except BaseException:
        one.__exit__()
        raise
    with _lock:
        is_kept = len(free) < MOST_KEPT and _kept.get(app) is free
        if is_kept:
            free.append(one)
    if not is_kept:
        one.__exit__()


def close(app: Celery) -> None:
    """Close the connections that are not in use."""
    with _lock:
        free = _kept.pop(app, [])
    for each in free:
        each.__exit__()


@atexit.register
def _close_all() -> None:
    for app in [*_kept]:
        close(app)


def _after_fork() -> None:
    global _lock, _kept
    _inherited.append(_kept)
    _lock, _kept = threading.Lock(), {}


os.register_at_fork(after_in_child=_after_fork)
