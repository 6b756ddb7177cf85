"""Shorter waits at the end of a worker: the processes of tests do not sleep out what Celery and its libraries sleep out.

A worker with nothing to do takes 2.5 s to stop, and all of them are fixed waits: up to 1 s until its loop looks whether a
signal came, up to 1 s for the answer to its last BRPOP, up to 1 s until a child looks whether the pool closes and 1 s of sleep
before the child ends, and up to 0.5 s for a thread. Hundreds of tests stop a worker, and each slept that long. The same steps
happen here in the same order, only sooner. The tests marked `fresh` or `smoke` wait as long as Celery does.

Python imports this file when it starts, if this folder is in PYTHONPATH (see tests.support.Site.variables).
"""

from __future__ import annotations

import contextlib
import sys
import time
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, SimpleNamespace
from typing import Any

#: How long each of these waits may last, in seconds.
SHORT = 0.05


class Shortening:
    """Finds the modules that wait, and changes each as soon as it has been imported."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        change = CHANGES.get(name)
        spec = PathFinder.find_spec(name, path, target) if change else None
        if change is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _short_sleep() -> Any:
    return SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, SHORT)))


def _end_threads_soon(prefork: Any) -> None:
    if hasattr(prefork, "time"):  # Celery 5.7 fires timers while its pool ends
        prefork.time = _short_sleep()


def _end_polls_at_a_stop(eventio: Any) -> None:
    """Have the loop look at once when a signal has asked for a stop; a poll goes on after the signal's handler."""
    poller = getattr(eventio, "_epoll", None)
    if poller is None:
        return
    original = poller.poll

    def asked() -> Any:
        state = sys.modules.get("celery.worker.state")
        return state and (state.should_stop, state.should_terminate)

    def poll(self: Any, timeout: float | None) -> Any:
        if timeout is None:
            return original(self, timeout)
        before, deadline = asked(), time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            events = original(self, max(0.0, min(left, SHORT)))
            if events or left <= SHORT or asked() != before:
                return events

    poller.poll = poll


def _end_idle_children_at_once(pool: Any) -> None:
    """Have a child look often whether its pool closes, and then end soon. One that ends otherwise lets its parent hear of it."""
    original = pool.Worker._make_recv_method

    def make(self: Any, connection: Any) -> Any:
        receive = original(self, connection)

        def short(timeout: float, **options: Any) -> Any:
            ready, request = receive(min(timeout, SHORT), **options)
            if ready and request is None:  # the pool closes
                pool.time = _short_sleep()
            return ready, request

        return short

    pool.Worker._make_recv_method = make


def _end_the_last_brpop_at_once(transport: Any) -> None:
    """Have the server answer a BRPOP when its channel closes, where the user of the server may ask for that."""
    start, close = transport.Channel._brpop_start, transport.Channel.close

    def started(self: Any, *words: Any, **options: Any) -> Any:
        connection = self.client.connection
        if connection is not None and getattr(connection, "tests_asked", None) is not connection._sock:
            connection.tests_asked, connection.tests_id = connection._sock, _client_id(connection)
        return start(self, *words, **options)

    def closed(self: Any) -> None:
        if self._in_poll and (number := getattr(self._in_poll, "tests_id", None)):
            with contextlib.suppress(Exception), self.conn_or_acquire() as client:
                client.execute_command("CLIENT", "UNBLOCK", number)
        close(self)

    transport.Channel._brpop_start, transport.Channel.close = started, closed


def _client_id(connection: Any) -> int | None:
    from redis import ResponseError

    try:
        connection.send_command("CLIENT", "ID")
        return int(connection.read_response())
    except ResponseError:
        return None


CHANGES = {
    "billiard.pool": _end_idle_children_at_once,
    "celery.concurrency.prefork": _end_threads_soon,
    "kombu.transport.redis": _end_the_last_brpop_at_once,
    "kombu.utils.eventio": _end_polls_at_a_stop,
}

sys.meta_path.insert(0, Shortening)
