"""Asking the workers for somebody who looks often: as often as is good for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tasktools.brokers.reach import is_barred, is_forbidden
from tasktools.control.answers import Answers, ask_over
from tasktools.control.brief import BRIEF
from tasktools.control.replies import Replies
from tasktools.exceptions import TasktoolsError
from tasktools.queues import depth

if TYPE_CHECKING:
    from celery import Celery

#: How long workers have to answer, in seconds.
ANSWERING = 0.8

#: How soon workers are asked again when somebody is silent, at first and at most, in seconds. What is asked waits for a worker
#: that is busy, and a server that holds too much for a client disconnects it.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 30.0

#: How soon a broker is asked again that has refused remote control, in seconds.
REFUSED = 60.0

#: The commands that silent workers cost: their list of late replies gets an end, and the clients with a name are listed.
_FOR_SILENT = 2


class Refused(TasktoolsError):
    """The broker does not allow its user remote control. On RabbitMQ the channel is closed then."""


class Questions:
    """Asks the workers, and keeps their answers while they are asked less often."""

    def __init__(self, app: Celery, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        #: Where the replies of the workers come to on Redis and Valkey.
        self._replies: Replies | None = None
        self._kept: Answers | None = None
        self._pause = 0.0
        #: How many commands at a Redis or Valkey the latest call of `answers` took, and what its silent workers may take.
        self.cost = 0
        #: Nobody is asked before this time; None for now.
        self._again_at: float | None = None

    def answers(self, connection: Any) -> Answers | None:
        """Return what the workers answer; None if this transport has no remote control, or its user may not use it.

        Raises Refused once when the broker does not allow it, and what the broker raises.
        """
        self.cost = 0
        if self._again_at is not None and self._clock() < self._again_at:
            return self._kept
        if depth.is_redis(connection) and self._replies is None:
            self._replies = Replies()
        try:
            self._kept = ask_over(self._app, connection, BRIEF, ANSWERING, self._replies)
        except (NotImplementedError, AttributeError):
            self._kept = None
        except Exception as error:
            if not is_forbidden(error) and not is_barred(error):
                raise
            self._kept, self._again_at = None, self._clock() + REFUSED
            raise Refused("The broker refuses remote control.") from error
        self._wait_for_silent(self._kept)
        if self._pause and self._replies is not None:
            self._replies.await_late(connection)
        if self._replies is not None:
            self.cost = 1 + len(BRIEF) + self._replies.takes + (_FOR_SILENT if self._pause else 0)
        return self._kept

    def _wait_for_silent(self, answers: Answers | None) -> None:
        if answers is None or not answers.silent:
            self._pause, self._again_at = 0.0, None
            return
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
        self._again_at = self._clock() + self._pause

    def close(self, connection: Any) -> None:
        """Delete what the broker has kept for this object."""
        replies, self._replies = self._replies, None
        if replies is not None:
            replies.delete(connection)
