"""How the writer of a worker stores rows, on a connection of its own; and what it deletes."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from tasktools.failures.access import database
from tasktools.failures.failure import Failure, Mended
from tasktools.failures.insertion import (
    Away,
    Missing,
    answers,
    called,
    insert_each,
    is_of_database,
    lacks_table,
    told,
)
from tasktools.failures.own_connection import OwnConnection
from tasktools.failures.row import Form, Row, bare_row, moment, row
from tasktools.failures.statement import BATCH, insert
from tasktools.failures.text import name
from tasktools.models import FailedTask, State

logger = logging.getLogger("tasktools.failures")

#: Seconds between two prunings of one worker, and how long one may take.
PRUNE_EVERY = 60.0
PRUNE_LIMIT = 2.0

#: How many retries of retries are followed back.
_CHAIN = 100


@dataclass(kw_only=True)
class Table:
    """Writes rows, and keeps their number within limits."""

    form: Form = field(default_factory=Form)
    #: How many rows are kept; None for no limit.
    limit: int | None = 10_000
    #: How long a row is kept; None for no limit.
    age: timedelta | None = timedelta(days=30)
    _pruned: float = field(default=-PRUNE_EVERY, init=False)
    #: Whether the table was missing at the last write.
    _was_missing: bool = field(default=False, init=False)
    _connection: OwnConnection = field(default_factory=OwnConnection, init=False)

    def write(self, items: Sequence[Failure | Mended]) -> None:
        """Write all that can be written. A row that the database refuses is shortened, or dropped with a line in the log.

        The connection stays open, unless there was an error. Raises Away and Missing: the same items may be given again, and
        none is written twice.
        """
        alias = database()
        if self._was_missing:
            self._look(alias)
        rows = self._rows(items)
        successes = [each for each in items if isinstance(each, Mended)]
        with self._connection.used(alias) as connection:
            try:
                # A statement alone is a transaction: to begin and to commit one are round trips of their own.
                is_alone = not successes and not connection.in_atomic_block
                with contextlib.nullcontext() if is_alone else transaction.atomic(using=alias):
                    insert(rows, connection)
                    for each in successes:
                        _mend(each, alias)
            except Exception as error:  # noqa: BLE001 - of the database, the network or a row: looked at there
                self._write_each(rows, successes, error, alias)
            self._prune_in_passing()

    def _look(self, alias: str) -> None:
        """Look whether the table is there now, without a row: the server would log each INSERT as an error."""
        with self._connection.used(alias):
            if lacks_table(alias):
                raise Missing
        self._was_missing = False

    def _write_each(self, rows: Sequence[Row], successes: Sequence[Mended], error: Exception, alias: str) -> None:
        """Write one by one what could not be written together."""
        if not answers(alias):
            raise Away(told(error)) from error
        if lacks_table(alias):
            self._was_missing = True
            raise Missing from error
        insert_each([FailedTask(**each) for each in rows], alias)
        for each in successes:
            try:
                _mend(each, alias)
            except Exception as why:
                if is_of_database(why) or not answers(alias):
                    raise Away(told(why)) from why
                logger.error("A task that was sent again has succeeded, which is not recorded: %s", told(why))

    def close(self) -> None:
        """Close the connection, until something is written again."""
        self._connection.close()

    def _rows(self, items: Sequence[Failure | Mended]) -> list[Row]:
        """Make the rows before the database is touched: the project's hook may use it too, or take its time."""
        rows = []
        with _closing_what_opens():
            for each in items:
                if isinstance(each, Failure):
                    try:
                        rows.append(row(each, self.form))
                    except Exception:
                        logger.exception("A failed task is recorded without its message: %s", called(each))
                        rows.append(bare_row(each))
        return rows

    def _prune_in_passing(self) -> None:
        if time.monotonic() - self._pruned < PRUNE_EVERY:
            return
        self._pruned = time.monotonic()
        try:
            self.prune()
        except Exception:  # the rows are written: nothing may make that look like a failure
            logger.debug("Failed tasks could not be pruned; the next time is soon.", exc_info=True)

    def prune(self) -> int:
        """Delete what is over the limits, the oldest first, in small steps; what is being sent again stays. Return how many."""
        alias = database()
        deleted, until = 0, time.monotonic() + PRUNE_LIMIT
        for old in self._over(alias):
            while time.monotonic() < until:
                chosen = list(old.order_by("id").values_list("id", flat=True)[:BATCH])
                deleted += FailedTask.objects.using(alias).filter(id__in=chosen).delete()[0] if chosen else 0
                if len(chosen) < BATCH:
                    break
        return deleted

    def _over(self, alias: str) -> Iterator[Any]:
        table = FailedTask.objects.using(alias)
        idle = table.exclude(state=State.SENDING)
        if self.age is not None:
            yield idle.filter(failed_at__lt=timezone.now() - self.age)
        if self.limit is not None:
            over = table.order_by("-id").values_list("id", flat=True)[self.limit : self.limit + 1]
            for newest in over:
                yield idle.filter(id__lte=newest)


def is_configured() -> bool:
    """Whether the site has a database for the table."""
    engine = connections[database()].settings_dict["ENGINE"]
    return bool(engine) and not engine.endswith(".dummy")


@contextlib.contextmanager
def _closing_what_opens() -> Iterator[None]:
    """Close the connections that the project's hook opens in this thread: nobody else does, and children would inherit them."""
    before = {each.alias for each in _open_ones()}
    try:
        yield
    finally:
        for each in _open_ones():
            if each.alias not in before:
                with contextlib.suppress(Exception):
                    each.close()


def _open_ones() -> list[Any]:
    return [each for each in connections.all(initialized_only=True) if each.connection is not None]


def _mend(success: Mended, alias: str) -> None:
    """Mark the row whose retry has succeeded as mended, and those of which it was a retry itself."""
    ids, table = [name(success.task_id)], FailedTask.objects.using(alias)
    for _ in range(_CHAIN):
        rows = table.filter(new_id__in=ids).exclude(state=State.MENDED)
        found = dict(rows.values_list("id", "task_id"))
        if not found:
            return
        table.filter(id__in=found).update(state=State.MENDED, mended_at=moment(success.at))
        ids = list(found.values())


#: Writes what it can; raises Away and Missing.
Write = Callable[[Sequence[Failure | Mended]], None]
