"""Parts that several people get: made once, and kept for as long as they are among the latest."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Part:
    """A part of the page."""

    name: str
    #: HTML.
    text: str

    @cached_property
    def digest(self) -> str:
        """What tells it from another text, and from other parts that are empty too: the script says which parts it has."""
        return hashlib.blake2b(f"{self.name}:{self.text}".encode(), digest_size=9).hexdigest()


class Kept:
    """The latest parts by their keys; every thread may use it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._parts: OrderedDict[Hashable, Part] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Part]) -> Part:
        """Return the part of a key. Two threads may make it at the same time."""
        with self._lock:
            if key in self._parts:
                self._parts.move_to_end(key)
                return self._parts[key]
        part = make()
        with self._lock:
            self._parts[key] = part
            while len(self._parts) > self._most:
                self._parts.popitem(last=False)
        return part
