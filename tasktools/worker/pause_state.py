"""The thread of a worker that looks where the pauses are kept: a broadcast may be lost.

It uses a connection of its own, so a broker that is silent does not stop the worker's loop.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from tasktools.brokers.reach import is_forbidden
from tasktools.exceptions import ConfigurationError
from tasktools.queues.database_pauses import DatabasePauses
from tasktools.queues.kept import pauses_of
from tasktools.queues.pauses import TASK, Pauses, utc_now
from tasktools.worker.known_pauses import Known

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.queues.aside import Place

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: What is logged if the broker refuses that.
NOT_BACK = "What was put aside of paused tasks cannot come back"

#: How often the thread looks, in seconds: a broadcast may be lost. A database gets a new connection for each look.
PERIOD, PERIOD_OF_DATABASE = 0.7, 5.0

#: The same for a solo pool, which hears no broadcast while it runs a task.
PERIOD_OF_SOLO, PERIOD_OF_SOLO_AND_DATABASE = 0.3, 1.0

#: The same where they cannot be kept at all, as before `migrate`: the log of the database must not fill with that; and where
#: the broker refuses to show them: its user may not read the key, or the key is another program's.
PERIOD_OF_NOTHING = 60.0

#: The longest time after looks that failed, each twice that of the one before: each makes a new connection.
LONGEST_PERIOD = 15.0

#: After how many seconds what is aside comes back, although no worker that takes from its queue has brought it back.
FORSAKEN = 15.0

#: How long the broker may take to answer the thread, and how long a worker that starts waits for its first look, in seconds.
LIMIT = 2.0


class Watch:
    """The thread that looks."""

    def __init__(
        self,
        app: Celery,
        known: Known,
        *,
        is_solo: bool,
        changed: Callable[[], object],
        queues: Callable[[], Collection[str]],
    ) -> None:
        """`changed` is called in the thread when other queues are paused than before; `queues` are those of the worker.

        What is aside of these only the loop brings back: it knows what it holds, which is newer.
        """
        self._app, self._known, self._is_solo, self._changed, self._queues = app, known, is_solo, changed, queues
        #: When it has first seen what is aside of other queues and of tasks that are not paused.
        self._first_seen: dict[Place, float] = {}
        self._wake = threading.Event()
        self._ended = threading.Event()
        #: Set when it has looked since `look_soon` was called.
        self._seen = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._before = (frozenset[str](), frozenset[str](), frozenset[str]())
        #: What was logged last of a look that failed.
        self._said = ""
        #: Whether the broker has refused something in this look.
        self._is_refused = False
        #: How many looks have failed one after the other.
        self._failures = 0

    def look_soon(self, wait: float = 0.0) -> None:
        """Look at once; wait for that up to `wait` seconds."""
        self._seen.clear()
        self._wake.set()
        if self._thread is None or not self._thread.is_alive() or self._ended.is_set():
            self._ended = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._ended,), daemon=True, name="paused queues")
            self._thread.start()
        if wait:
            self._seen.wait(wait)

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._wake.set()

    def _run(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self._wake.clear()
            period = self._look()
            self._seen.set()
            held = (self._known.held(), self._known.held(TASK), self._known.ending)
            # What is ending may look as before, and be there once more: the loop has brought it back between two looks.
            if held != self._before or self._known.ending:
                self._before = held
                self._changed()
            end = self._known.next_end
            self._wake.wait(period if end is None else max(0.01, min(period, end)))
        self._forget_connection()

    def _period(self, *, uses_database: bool) -> float:
        if self._is_solo:
            return PERIOD_OF_SOLO_AND_DATABASE if uses_database else PERIOD_OF_SOLO
        return PERIOD_OF_DATABASE if uses_database else PERIOD

    def _look(self) -> float:
        """Look once; return after how many seconds to look again. What fails is logged once and tried again."""
        kept: Pauses | None = None
        try:
            kept = self._pauses()
            self._take_over(kept)
            self._failures = 0
        except ConfigurationError as error:
            self._say(logging.DEBUG, error)  # a site without it cannot pause anything
            return PERIOD_OF_NOTHING
        except Exception as error:  # noqa: BLE001 - the worker goes on with what it knows
            self._say(logging.WARNING, error)
            if is_denied(error):  # the connection is good
                return PERIOD_OF_NOTHING
            self._forget_connection()
            self._failures += 1
        period = self._period(uses_database=isinstance(kept, DatabasePauses))
        return max(period, min(LONGEST_PERIOD, period * 2.0 ** min(self._failures, 10)))

    def _take_over(self, kept: Pauses) -> None:
        changes, ours = self._known.changes, self._queues()
        self._is_refused = False
        places = self._try(kept.places_aside) or ()  # before the pauses: what these do not hold then is over
        pauses = kept.read(utc_now())
        paused = {each.name for each in pauses if each.what == TASK}
        left = {each for each in places if each[1] not in paused}
        forsaken = self._forsaken({each for each in left if each[0] not in ours})
        if forsaken:
            self._try(lambda: kept.bring_back(forsaken))
        if not self._known.replace(pauses, changes, {task for queue, task in left if queue in ours}):
            self._wake.set()  # there was a change meanwhile: look again
        if not self._is_refused:
            self._said = ""

    def _forsaken(self, left: Collection[Place]) -> set[Place]:
        now = time.monotonic()
        self._first_seen = {each: self._first_seen.get(each, now) for each in left}
        return {each for each, first in self._first_seen.items() if now - first >= FORSAKEN}

    def _try(self, call: Callable[[], T]) -> T | None:
        """Return what a call returns; None if the broker refuses it, which is no reason not to heed the pauses."""
        try:
            return call()
        except Exception as error:
            if not is_denied(error):
                raise
            self._is_refused = True
            self._say(logging.WARNING, error, NOT_BACK)
            return None

    def _pauses(self) -> Pauses:
        if self._connection is None:
            self._connection = self._connect()
        return pauses_of(self._connection)

    def _connect(self) -> Any:
        connection = self._app.connection_for_read(connect_timeout=LIMIT)
        if connection.transport.driver_type != "redis":
            return connection  # it is not opened
        options = dict(self._app.conf.broker_transport_options or {})
        options |= {"socket_timeout": LIMIT, "socket_connect_timeout": LIMIT}
        return self._app.connection_for_read(connect_timeout=LIMIT, transport_options=options)

    def _forget_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.collect()

    def _say(self, level: int, error: Exception, what: str = "Which queues are paused cannot be read") -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self._said:
            self._said = text
            logger.log(level, "%s (%s): it is tried again.", what, text)


def is_denied(error: Exception) -> bool:
    """Whether a broker that runs will not show this, now or later."""
    return is_forbidden(error) or "WRONGTYPE" in str(error)
