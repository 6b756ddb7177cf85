"""Keys, as they are typed: without Enter, and not shown. The terminal is as before when it is over."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from typing import Any


class Keyboard:
    """The keys of this terminal; none if stdin is none. Use it as a context manager."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._before: list[Any] = []

    def __enter__(self) -> Keyboard:
        with contextlib.suppress(OSError, ValueError, AttributeError, termios.error):
            descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(descriptor)
            tty.setcbreak(descriptor)
            self._descriptor = descriptor
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(termios.error):  # the terminal has gone
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def typed(self) -> str:
        """Return what was typed since the last call."""
        if self._descriptor is None or not select.select([self._descriptor], [], [], 0)[0]:
            return ""
        read = os.read(self._descriptor, 64)
        if not read:  # its other end is closed: it would be ready for ever
            self._descriptor = None
        return read.decode(errors="replace")
