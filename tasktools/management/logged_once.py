"""Celery's logging beside handlers of the site, such as Django's own console handler: a terminal gets each record once."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from celery.app.log import Logging

from tasktools.environment import loggers

if TYPE_CHECKING:
    from celery import Celery

#: The numbers of stdout and stderr.
_STANDARD = (1, 2)


class OnceLogging(Logging):
    """Celery's logging. What a handler of the site has written to stdout or stderr is not written there again.

    Only a record that such a handler has let pass counts: its level and its filters may not, and mail is no terminal. Nor
    does a handler with an `emit` of its own count: it may drop records. A log file (-f) gets every record.
    """

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        #: Records that the site has written. They are not marked themselves: formatters may print all that a record has.
        self._written: WeakSet[logging.LogRecord] = WeakSet()
        self._followed: WeakSet[logging.Handler] = WeakSet()

    def setup_logging_subsystem(self, *args: Any, **kwargs: Any) -> Any:
        if not self.already_setup:
            for logger in loggers.all_loggers():
                for handler in logger.handlers:
                    self._follow(handler)
        return super().setup_logging_subsystem(*args, **kwargs)

    def setup_handlers(self, logger: logging.Logger, logfile: Any, *args: Any, **kwargs: Any) -> logging.Logger:
        before = list(logger.handlers)
        found: logging.Logger = super().setup_handlers(logger, logfile, *args, **kwargs)
        for handler in found.handlers if logfile is None else ():
            if handler not in before:
                self._followed.add(handler)  # it is Celery's
                handler.addFilter(self._is_unwritten)
        return found

    def _is_unwritten(self, record: logging.LogRecord) -> bool:
        return record not in self._written

    def _follow(self, handler: logging.Handler) -> None:
        """Note what this handler writes to a terminal: the last of its filters gets what all others let pass."""
        if handler not in self._followed and _writes_all(handler):
            self._followed.add(handler)
            handler.addFilter(_noting(handler, self._written))


def _writes_all(handler: logging.Handler) -> bool:
    """Whether it writes each record that it lets pass. An `emit` of its own may drop some, and a lost one is worse than two."""
    rich = getattr(sys.modules.get("rich.logging"), "RichHandler", logging.StreamHandler)
    emit = getattr(handler.emit, "__func__", None)
    return emit in (logging.StreamHandler.emit, logging.FileHandler.emit, rich.emit)


def _noting(handler: logging.Handler, written: WeakSet[logging.LogRecord]) -> Callable[[logging.LogRecord], bool]:
    def note(record: logging.LogRecord) -> bool:
        if _is_shown(handler):
            written.add(record)
        return True

    return note


def _is_shown(handler: logging.Handler) -> bool:
    """Whether a handler writes to where stdout or stderr go; nobody sees what goes to /dev/null. Rich's has a console."""
    stream = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)
    with contextlib.suppress(Exception):  # a stream may be anything
        place = os.fstat(stream.fileno())  # type: ignore[union-attr]
        if not os.path.samestat(place, os.stat(os.devnull)):
            return any(map(_is_at(place), _STANDARD))
    return False


def _is_at(place: os.stat_result) -> Callable[[int], bool]:
    def is_at(number: int) -> bool:
        with contextlib.suppress(OSError):  # it may be closed
            return os.path.samestat(place, os.fstat(number))
        return False

    return is_at
