"""Keys, as they are typed: without Enter, and not shown. The terminal is as before when it is over."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from typing import Any

#: The place of the local modes in what tcgetattr returns.
_LOCAL = 3


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
        descriptor = self._descriptor
        if descriptor is None:
            return ""
        with contextlib.suppress(termios.error, OSError):
            if termios.tcgetattr(descriptor)[_LOCAL] & termios.ICANON:  # the shell has changed it: Ctrl+Z, and fg
                tty.setcbreak(descriptor)
            if not select.select([descriptor], [], [], 0)[0]:
                return ""
            if read := os.read(descriptor, 64):
                return read.decode(errors="replace")
        self._descriptor = None  # the terminal has gone: it would be ready for ever
        return ""
