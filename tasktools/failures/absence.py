"""When the writer of a worker looks again for a table that was not there: the site was not migrated when it looked."""

from __future__ import annotations

import logging
import threading

from tasktools.failures.access import migrate_hint
from tasktools.models import FailedTask

logger = logging.getLogger("tasktools.failures")

#: How many failed tasks wait in memory for the table, and how many bytes of them.
MOST = 1_000
MOST_BYTES = 8 * 2**20

#: How long after a look the next one comes if a task has failed meanwhile, and if none has, in seconds. A look is a connection
#: and the list of the tables: little beside a failed task, and little for a site that never migrates.
LOOK_AGAIN = 2.0
LOOK_IDLE = 10.0


class Absence:
    """What is known of the missing table. `changed` is the writer's condition, `ending` its event of the worker's end."""

    def __init__(self, changed: threading.Condition, ending: threading.Event, *, told: bool) -> None:
        self._changed = changed
        self._ending = ending
        #: Whether the log, or the command at its start, has said it.
        self.told = told
        #: Whether the last look has found no table.
        self.is_known = False
        self._news = False
        #: Its cause and its remedy, for the log.
        self._words = ""

    def note(self) -> None:
        """Note that the table is not there."""
        hint = migrate_hint()
        self._words = f' Their table "{FailedTask._meta.db_table}" is not there. Run: {hint}'
        self.is_known = True
        if not self.told:
            self.told = True
            logger.warning("Failed tasks wait in memory: their table is not there yet. Run: %s", hint)

    def end(self) -> None:
        """Note that a batch was written."""
        if self.is_known:
            logger.warning("Failed tasks are recorded now: their table is there.")
        self.is_known = self.told = False

    def most(self, rows: int, size: int) -> tuple[int, int]:
        """Return how many failed tasks may wait, and how many bytes; where the table is there, as many as given."""
        return (min(rows, MOST), min(size, MOST_BYTES)) if self.is_known else (rows, size)

    def log_lost(self, text: str) -> None:
        """Log what is not recorded: as an error, unless it is because the site is not migrated, which the line says then."""
        if self.is_known:
            logger.warning("%s%s", text, self._words)
        else:
            logger.error("%s", text)

    def hear(self) -> None:
        """Note that a task has failed. The caller holds the condition."""
        self._news = True

    def wait(self) -> None:
        """Wait until the next look."""
        self._ending.wait(LOOK_AGAIN)
        with self._changed:
            self._changed.wait_for(lambda: self._news or self._ending.is_set(), LOOK_IDLE - LOOK_AGAIN)
            self._news = False
