"""The project's hook that masks arguments, with a look at how long it runs: one that hangs stops all recording."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasktools import terminal
from tasktools.failures.arguments import Hook
from tasktools.render import counted

pause = time.sleep

logger = logging.getLogger("tasktools.failures")

#: How long one call may take before the log says so, in seconds.
SLOW = 5.0


@dataclass(kw_only=True, eq=False)
class _Call:
    task: str
    since: float = field(default_factory=time.monotonic)
    is_said: bool = False


class WatchedHook:
    """Calls the hook. A thread, which begins with the first call, logs once that a call takes long; its end is logged too."""

    def __init__(self, hook: Hook, waiting: Callable[[], int]) -> None:
        self.hook = hook
        #: How many failed tasks wait for it.
        self._waiting = waiting
        self._name = f"{getattr(hook, '__module__', '')}.{getattr(hook, '__qualname__', type(hook).__qualname__)}"
        self._call: _Call | None = None
        self._begun = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        call = self._call = _Call(task=task)
        if self._thread is None:
            self._start()
        self._begun.set()
        try:
            return self.hook(task, args, kwargs)
        finally:
            with self._lock:
                self._call = None
            if call.is_said:
                seconds = time.monotonic() - call.since
                logger.warning("The masking hook %s has ended after %.0f s: recording goes on.", self._name, seconds)

    def _start(self) -> None:
        try:
            thread = threading.Thread(target=self._watch, name="masking hook", daemon=True)
            thread.start()
        except RuntimeError:  # at the very end of a process, Python begins no threads
            return
        self._thread = thread

    def _watch(self) -> None:
        while True:
            self._begun.wait()
            self._begun.clear()  # before the look: a call that begins meanwhile sets it again
            while (call := self._call) is not None:
                left = call.since + SLOW - time.monotonic()
                if left <= 0:
                    self._say(call)
                pause(left if left > 0 else SLOW)

    def _say(self, call: _Call) -> None:
        with self._lock:
            if call.is_said or self._call is not call:
                return
            call.is_said = True
        number = self._waiting()
        logger.warning(
            "The masking hook %s has run for %.0f s for a call of %s: %s %s for it.",
            self._name,
            time.monotonic() - call.since,
            terminal.line(call.task[:255]),
            counted(number, "failed task"),
            "waits" if number == 1 else "wait",
        )
