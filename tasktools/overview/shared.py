"""One value for everybody who looks: made by one thread at a time, at most every few seconds, and only while somebody asks.

Where the site has a cache that its processes share, they share the value too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.cache import caches
from django.db import connections

logger = logging.getLogger("tasktools.overview")

T = TypeVar("T")

#: How long it is put off for whoever does not wait, in seconds: the answer with the old value is made first.
_AFTER = 0.2


@dataclass(frozen=True)
class _Kept(Generic[T]):
    value: T
    #: When making it began, in seconds since 1970: processes share it. What was changed later is not in it.
    at: float
    #: The generation in which that was.
    generation: str


class Shared(Generic[T]):
    """The value. Every thread may use it."""

    def __init__(
        self,
        make: Callable[[], T],
        *,
        fresh: float,
        usable: float,
        name: str = "",
        cache: Any = None,
        now: Callable[[], float] = time.time,
        is_past: Callable[[T], bool] = lambda value: False,
    ) -> None:
        """`make` is called when the value is older than `fresh` seconds; one that is older than `usable` is not returned.

        `is_past` says of a value that it is to be made again although it is fresh: something has happened that it foretells.

        If `make` raises, it is not called again for `fresh` seconds. `cache` is Django's, and `name` the key there.
        """
        self._make, self._fresh, self._usable, self._is_past = make, fresh, usable, is_past
        self._name, self._cache, self._now = name, cache, now
        self._kept: _Kept[T] | None = None
        #: Changed by `outdate` of any process: a value of another generation shows what was before.
        self._generation = ""
        self._failed_at: float | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._done: threading.Event | None = None

    def get(self, wait: float) -> T | None:
        """Return the value. If it is not fresh, have it made, and wait up to `wait` seconds for that; None if there is none."""
        if wait:  # whoever does not wait comes again soon
            self._follow()
        if not self._is_due(self._latest()):
            return self._value()
        self._begin(0.0 if wait else _AFTER).wait(wait)
        return self._value()

    def outdate(self) -> None:
        """Have the next call make it: something was changed. What is being made now is dropped."""
        generation = uuid.uuid4().hex
        self._change(generation)
        with contextlib.suppress(Exception):
            if self._cache is not None:
                self._cache.set(f"{self._name}:generation", generation, None)

    def _change(self, generation: str) -> None:
        with self._lock:
            if generation != self._generation:
                self._generation, self._kept, self._failed_at = generation, None, None

    def _follow(self) -> None:
        """Learn whether another process has outdated the value."""
        with contextlib.suppress(Exception):  # a cache that is away
            if self._cache is not None:
                self._change(self._cache.get(f"{self._name}:generation") or "")

    def _value(self) -> T | None:
        kept = self._kept
        return kept.value if kept is not None and self._age(kept) < self._usable else None

    def _age(self, kept: _Kept[T] | None) -> float:
        return float("inf") if kept is None else abs(self._now() - kept.at)

    def _is_due(self, kept: _Kept[T] | None) -> bool:
        """Whether it is to be made: it is not fresh, and making it has not just failed."""
        failed = self._failed_at
        is_old = kept is None or self._age(kept) >= self._fresh or self._is_past(kept.value)
        return is_old and (failed is None or abs(self._now() - failed) >= self._fresh)

    def _latest(self) -> _Kept[T] | None:
        """Return the newest value that this process or another one has made."""
        if self._cache is not None and self._age(self._kept) >= self._fresh:
            with contextlib.suppress(Exception):  # a cache that is away, or that holds what another version wrote
                self._follow()
                found = self._cache.get(self._name)
                if isinstance(found, _Kept) and self._age(found) < self._age(self._kept):
                    self._keep(found)
        return self._kept

    def _keep(self, made: _Kept[T], done: threading.Event | None = None) -> bool:
        """Keep a value unless it is of another generation; whoever waits for `done` then goes on. Return whether it is kept."""
        with self._lock:
            if made.generation != self._generation:
                return False
            self._kept = made
            if done is not None:
                done.set()
            return True

    def _begin(self, delay: float) -> threading.Event:
        """Have it made in a thread in so many seconds, unless one is at it; return what is set then."""
        with self._lock:
            if self._process != os.getpid():  # a fork has no threads of the process before it
                self._process, self._done = os.getpid(), None
            if self._done is None or (self._done.is_set() and self._is_due(self._kept)):
                self._done = threading.Event()
                threading.Thread(
                    target=self._run, args=(self._done, delay), daemon=True, name=self._name or "shared"
                ).start()
            return self._done

    def _run(self, done: threading.Event, delay: float) -> None:
        """Make it, and again if it was outdated meanwhile: one thread at a time calls `make`."""
        time.sleep(delay)
        began = self._now()
        try:
            while not done.is_set() and not self._made(done):
                began = self._now()
        except BaseException:  # code of the project may call exit()
            logger.exception("What the page shows could not be made: %s.", self._name or "shared")
            self._failed_at = began
        finally:
            done.set()
            connections.close_all()  # those of this thread, which ends
            caches.close_all()

    def _made(self, done: threading.Event) -> bool:
        """Make it, or take what another process makes; return whether that is of today's generation."""
        self._follow()
        began, generation = self._now(), self._generation
        if not self._is_first(generation):
            self._await_other()
            return generation == self._generation
        made = _Kept(self._make(), began, generation)
        self._follow()
        if not self._keep(made, done):
            return False
        with contextlib.suppress(Exception):  # without a cache each process makes its own
            if self._cache is not None:
                self._cache.set(self._name, made, self._usable)
        return True

    def _is_first(self, generation: str) -> bool:
        """Whether no other process makes it at the moment, or has just made it."""
        if self._cache is None:
            return True
        with contextlib.suppress(Exception):
            return bool(self._cache.add(f"{self._name}:made:{generation}", 1, self._fresh))
        return True

    def _await_other(self) -> None:
        until = time.monotonic() + self._fresh
        while time.monotonic() < until and self._age(self._latest()) >= self._fresh:
            time.sleep(0.05)
