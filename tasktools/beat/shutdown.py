"""A beat that stops between two ticks. In the middle of a tick, a task may be sent and not noted, or noted and not sent.

Celery's own beat stops at once, and may fail because its signal handler has closed the schedule.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from celery.signals import beat_embedded_init, beat_init

from tasktools.celery_compat import SYNC_HANDLER, TICK

if TYPE_CHECKING:
    from celery import Celery

#: How long to wait for a tick that sends, in seconds: the broker may have gone.
PATIENCE = 5.0

#: A signal that comes so soon after another is the same one, in seconds: a terminal and a supervisor may each send it. In this
#: time, beat gives up its lease.
TOGETHER = 1.0


def end_between_ticks(app: Celery) -> None:
    """Make the beat that `app` starts in this process, in the main thread, stop between two ticks on SIGTERM and SIGINT."""

    app.Beat = type("Beat", (app.Beat,), {SYNC_HANDLER.name: lambda self, service: _Ending(service)})


def end_embedded_between_ticks() -> None:
    """Do the same for the beat that a worker starts in a process of its own (-B); it also stops if the worker is gone."""

    def install(sender: Any, **_: Any) -> None:
        _Ending(sender, parent=os.getppid()).wrap()

    beat_embedded_init.connect(install, weak=False)


class _Ending:
    """Handles the signals for the service (celery.beat.Service)."""

    def __init__(self, service: Any, *, parent: int | None = None) -> None:
        self.service = service
        #: The process without which this one has no reason to run; None for none.
        self.parent = parent
        self.ticking = False
        self.asked = False
        #: Until when another signal is the same one (time.monotonic()).
        self._deaf_until = 0.0
        beat_init.connect(self.wrap, sender=service, weak=False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._ask)

    def wrap(self, **_: Any) -> None:
        scheduler = self.service.scheduler
        TICK.wrap(scheduler, self._noting)
        leadership = getattr(scheduler, "leadership", None)
        if leadership is not None:
            leadership.idle = self._idle

    @contextlib.contextmanager
    def _idle(self) -> Iterator[None]:
        """Let a signal stop beat at once inside the block, as between two ticks."""
        if self.asked:
            raise SystemExit(0)
        before, self.ticking = self.ticking, False
        try:
            yield
        finally:
            self.ticking = before

    def _noting(self, tick: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            if self.parent not in (None, os.getppid()):
                raise SystemExit(0)  # the worker was killed
            self.ticking = True
            try:
                interval = tick(*args, **options)
            finally:
                self.ticking = False
            return 0 if self.asked else interval

        return noted

    def _ask(self, signum: int, frame: Any) -> None:
        now = time.monotonic()
        if now < self._deaf_until:
            return
        self._deaf_until = now + TOGETHER
        if self.asked or not self.ticking:
            raise SystemExit(0)  # the service saves its schedule on the way out
        self.asked = True
        self.service.stop()
        again = threading.Timer(PATIENCE, os.kill, (os.getpid(), signum))
        again.daemon = True
        again.start()
