"""The supervised process's end of the line to the supervisor.

    supervisor says   pause   take no more tasks, go on with those that run
                      resume  take tasks again
                      leave   {"grace": seconds}: another process has replaced you; SIGTERM follows
                      go      begin (beat)
                      end     SIGTERM has been sent (whose handler fails in Celery 5.5 when nobody reads stdout any more)
    process says      {"say": "ready"}                     it has loaded the code
                      {"say": "runs"}                      it has begun (beat)
                      {"say": "stale", "paths": [...]}     it has paused: these files have changed since it loaded them
                      {"say": "done"}                      it ends as intended; a process that ends without this is started again
                      {"say": "hopeless"}                  it ends, and no change of a file can fix the reason

If the line breaks, the supervisor has gone: the process stops warmly.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from tasktools.supervisor.age import began
from tasktools.supervisor.child import LINE

logger = logging.getLogger(__name__)


class Line:
    """This process's end of the line; a thread listens."""

    def __init__(self, descriptor: int, before: int = 0) -> None:
        self._socket = socket.socket(fileno=descriptor)
        #: How many processes the supervisor has started before this one.
        self.before = before
        #: When this process began to load the code, as time.time().
        self.since = began()
        self._socket.set_inheritable(False)
        self._go = threading.Event()
        self._answers: dict[str, Callable[..., None]] = {"go": self._go.set}

    @staticmethod
    def is_there() -> bool:
        """Whether the supervisor has started this process, and the process has not taken its line yet."""
        return LINE in os.environ

    @classmethod
    def from_environment(cls) -> Line | None:
        """Return the line of a process that the supervisor has started. Its own children do not see the variable."""
        line = os.environ.pop(LINE, None)
        return cls(*map(int, line.split())) if line else None

    def listen(self, **answers: Callable[..., None]) -> None:
        """Call `answers[word]` for every word that the supervisor says from now on."""
        self._answers.update(answers)
        threading.Thread(target=self._listen, daemon=True, name="supervisor's line").start()

    def say(self, word: str, **more: Any) -> None:
        """Send a message to the supervisor. A supervisor that has gone gets nothing."""
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps({"say": word, **more}).encode() + b"\n")

    def wait_for_go(self) -> None:
        """Return when the supervisor lets this process begin. Otherwise, the supervisor ends it."""
        self._go.wait()

    def _listen(self) -> None:
        try:
            with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
                for line in lines:
                    self._answer(json.loads(line))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            self._answer({"say": "end"})

    def _answer(self, message: dict[str, Any]) -> None:
        answer = self._answers.get(message.pop("say"))
        try:
            if answer:
                answer(**message)
        except Exception:
            logger.exception("tasktools: an answer to the supervisor failed")
