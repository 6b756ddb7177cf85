"""The connection of the thread that records. It stays open while batches follow each other; no child process inherits it.

To connect and to begin costs more than to insert a batch: PostgreSQL starts a process, which reads the catalog of its tables.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections

#: How long it stays open at most, in seconds: after that, the same name may be another file or another server.
MOST = 10.0

#: How long a fork waits for what is being written, in seconds: it holds up the worker's loop.
FORK_WAIT = 0.05


class OwnConnection:
    """A connection that only one thread uses. It is of no pool: a pool has children's too."""

    def __init__(self) -> None:
        self._made: Any = None
        self._until = 0.0

    @contextlib.contextmanager
    def used(self, alias: str) -> Iterator[Any]:
        """Have it in the place of this thread's own one. An error closes it, and else `close`."""
        before = connections[alias]
        if before.in_atomic_block:  # a test's
            yield before
            return
        if self._made is None or self._made.alias != alias or time.monotonic() >= self._until:
            self.close()
            self._made, self._until = _new(alias), time.monotonic() + MOST
        connections[alias] = self._made
        try:
            yield self._made
        except BaseException:
            self.close()
            raise
        finally:
            connections[alias] = before

    def close(self) -> None:
        """Close it, if it is open. Called by any thread while no other one uses it."""
        made, self._made = self._made, None
        if made is not None:
            with contextlib.suppress(Exception):
                made.close()


def _new(alias: str) -> Any:
    made: Any = connections.create_connection(alias)
    options = {name: value for name, value in made.settings_dict.get("OPTIONS", {}).items() if name != "pool"}
    made.settings_dict = {**made.settings_dict, "OPTIONS": options, "CONN_MAX_AGE": 0}
    made.inc_thread_sharing()  # a fork closes it in its own thread
    return made


class Uses:
    """What uses the connection, one at a time. A fork waits for that, and closes it."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._process = os.getpid()
        self._lock = threading.Lock()
        #: How many uses there were, and for which of them a fork has waited.
        self._number = 0
        self._waited = 0
        #: The thread whose fork has the lock. Forks of several threads overlap, and each gives back only what it took itself.
        self._holder: int | None = None

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Use the connection in the context."""
        with self._lock:
            self._number += 1
            yield

    def end(self) -> None:
        """Close the connection, unless its use takes long."""
        if self._lock.acquire(timeout=FORK_WAIT):
            try:
                self._close()
            finally:
                self._lock.release()

    def watch_forks(self) -> None:
        """Have each fork of this process leave no connection to its child, unless the database is slow."""
        os.register_at_fork(before=self.before_fork, after_in_parent=self.after_fork)

    def before_fork(self) -> None:
        """Wait for the end of a use, once for each: a pool may start many processes while the database is slow.

        It waits for the fork of another thread too, which takes little time: a use may begin as soon as that one ends.
        """
        me = threading.get_ident()
        if os.getpid() != self._process or self._holder == me:
            return
        waits = self._waited != self._number or self._holder is not None
        self._waited = self._number
        if self._lock.acquire(timeout=FORK_WAIT) if waits else self._lock.acquire(blocking=False):
            self._holder = me
            self._close()

    def after_fork(self) -> None:
        """Let it be used again. A child never does, and its copy of the lock stays as it was."""
        if os.getpid() == self._process and self._holder == threading.get_ident():
            self._holder = None
            self._lock.release()
