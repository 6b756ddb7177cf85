"""Writes failed tasks into the database aside: neither a task nor the worker's loop waits for it.

One thread of the worker's main process (a greenlet on gevent and eventlet) takes them from a queue of limited size, the
first at once, then all that has gathered: a transaction for each would cost more than the task. It begins with the first
failure: a worker without one opens no connection. While failures come quickly, the connection stays open.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tasktools.failures.absence import Absence
from tasktools.failures.failure import Failure, Mended
from tasktools.failures.insertion import Away, Missing, Refused
from tasktools.failures.notes import Make, Notes, first, fitting
from tasktools.failures.own_connection import Uses
from tasktools.failures.refusals import Refusals
from tasktools.failures.statement import BATCH
from tasktools.render import counted

if TYPE_CHECKING:
    from tasktools.failures.storage import Write

logger = logging.getLogger("tasktools.failures")

#: How much the queue holds: rows, and bytes.
MOST = 10_000
MOST_BYTES = 64 * 2**20

#: How much of it goes into one insert, in bytes.
BATCH_BYTES = 4 * 2**20

#: How long failures gather after a batch, in seconds.
GATHER = 0.5

#: How long to wait before the next attempt, in seconds: at first, and at most.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0

#: How long the end of the worker waits for the database in all, and at least each time, in seconds.
LAST_WAIT = 5.0
LEAST_WAIT = 0.5


class Writer:
    """The queue and its thread. `note` and `put` may be called by any thread, and never wait for the database."""

    def __init__(self, write: Write, *, close: Callable[[], None], told_missing: bool = False) -> None:
        """`close` ends the connection on which `write` writes."""
        self._write = write
        self._uses = Uses(close)
        self._process = os.getpid()
        #: What is not in the queue yet.
        self._notes = Notes()
        self._items: deque[Failure | Mended] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        #: Until when the end of the worker waits, on the clock time.monotonic; None before that end.
        self._until: float | None = None
        #: Set when that end begins.
        self._ending = threading.Event()
        self._dropped = 0
        self._absence = Absence(self._changed, self._ending, told=told_missing)
        self._is_away = self._told_lost = False
        self._refusals = Refusals()

    def note(self, make: Make, size: int) -> None:
        """Have the failure that `make` returns written soon. Until it is made, it takes about `size` bytes."""
        if os.getpid() != self._process:
            return
        with self._changed:
            is_much = self._notes.add(make, size)
            self._stir()
        if is_much:
            self._make_noted()

    def put(self, item: Failure | Mended) -> None:
        """Have an item written soon. What does not fit is dropped and counted; one that never would is kept in part."""
        if os.getpid() != self._process:
            return
        with self._changed:
            self._put(item)
            self._stir()

    def _put(self, item: Failure | Mended) -> None:
        item = fitting(item, MOST_BYTES)
        most, most_bytes = self._absence.most(MOST, MOST_BYTES)
        if len(self._items) >= most or self._bytes + item.size > most_bytes:
            self._drop(1)
            return
        self._items.append(item)
        self._bytes += item.size

    def _make_noted(self) -> None:
        """Make failures of the notes. A caller without the lock has it for one at a time: the worker's loop waits for no more."""
        while self._notes:
            with self._changed:
                if self._notes and (item := self._notes.made()):
                    self._put(item)

    def _stir(self) -> None:
        self._absence.hear()
        self._changed.notify_all()
        if self._thread is None and self.waiting():
            self._start()

    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._items) + len(self._notes)

    def finish(self) -> None:
        """Wait until all is written, at most LAST_WAIT in all; count in the log what is not. Called at the worker's end."""
        if os.getpid() != self._process:
            return
        with self._changed:
            if self._until is None:
                self._until = time.monotonic() + LAST_WAIT
                self._ending.set()
                self._changed.notify_all()
            until = max(self._until, time.monotonic() + LEAST_WAIT)
            self._make_noted()
            while self._thread is None and self._items and time.monotonic() < until:
                if self._attempt(self._next()):
                    time.sleep(FIRST_PAUSE)
            while self.waiting() and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            lost, self._dropped = self.waiting() + self._dropped, 0
        self._uses.end()
        if lost and not self._told_lost:
            self._told_lost = True
            self._absence.log_lost(f"The worker ends, and {counted(lost, 'failed task')} could not be recorded.")

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="failed tasks", daemon=True)
        # At the very end of a process, Python begins no threads. `finish` writes then.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._thread = thread
            self._uses.watch_forks()

    def _run(self) -> None:
        pause = 0.0
        while True:
            try:
                again = self._attempt(self._next())
            except BaseException:  # whatever it is: this thread is the only one that records
                logger.exception("The thread that records failed tasks had an error. It goes on.")
                again = True
            pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE) if again else 0.0
            if again and self._absence.is_known and not self._ending.is_set():
                self._absence.wait()
            elif again:
                self._wait(pause)
            else:
                self._ending.wait(GATHER)
                if not self.waiting():
                    self._uses.end()

    def _next(self) -> list[Failure | Mended]:
        """Wait for items; return the first ones, which stay in the queue."""
        while True:
            self._make_noted()
            with self._changed:
                if self._items:
                    return first(self._items, BATCH, BATCH_BYTES)
                if not self._notes:
                    self._changed.wait()

    def _wait(self, pause: float) -> None:
        """Wait for the database, at the worker's end in short steps: it has little time left. What comes meanwhile gathers."""
        if self._ending.wait(pause):
            time.sleep(FIRST_PAUSE)

    def _attempt(self, batch: list[Failure | Mended]) -> bool:
        """Write a batch and take it from the queue; return whether it must be tried again."""
        try:
            with self._uses.one():
                self._write(batch)
        except Missing:
            self._absence.note()
            if self._ending.is_set():
                self._give_up()
            return True
        except Away as error:
            self._absence.is_known = False
            self._note_away(str(error))
            if isinstance(error, Refused):
                self._sort_out(batch, error)
            return True
        except BaseException:  # a SystemExit of the project's code ends no worker: not in this thread either
            logger.exception("%s could not be recorded.", counted(len(batch), "failed task"))
        else:
            self._note_written()
        self._take(len(batch))
        return False

    def _take(self, number: int) -> None:
        with self._changed:
            for _ in range(number):
                self._bytes -= self._items.popleft().size
            self._changed.notify_all()

    def _sort_out(self, batch: Sequence[Failure | Mended], error: Refused) -> None:
        """Take from the queue what is done with although the database has refused a part of the batch."""
        front, back = self._refusals.sort_out(batch, error)
        with self._changed:
            self._bytes += sum(each.size for each in (*front, *back)) - sum(each.size for each in batch)
            for _ in batch:
                self._items.popleft()
            self._items.extendleft(reversed(front))
            self._items.extend(back)
            self._changed.notify_all()

    def _give_up(self) -> None:
        """Drop what waits: nobody makes the table while the worker ends."""
        with self._changed:
            self._dropped += self.waiting()
            self._notes = Notes()
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()

    def _note_away(self, why: str) -> None:
        if not self._is_away:
            self._is_away = True
            logger.warning("Failed tasks cannot be recorded now, and wait in memory: the database: %s", why)

    def _note_written(self) -> None:
        self._refusals.forget()
        self._absence.end()
        if self._is_away:
            self._is_away = False
            logger.warning("Failed tasks are recorded again.")
        if self._dropped:
            with self._changed:
                dropped, self._dropped = self._dropped, 0
            logger.error("%s could not be recorded: too many waited.", counted(dropped, "failed task"))

    def _drop(self, number: int) -> None:
        if not self._dropped:
            self._absence.log_lost("Too many failed tasks wait to be recorded: further ones are not recorded.")
        self._dropped += number
