"""Remove failed tasks from the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from tasktools.failures.access import reading, rows
from tasktools.models import State

#: Rows that are removed by one statement.
BATCH_SIZE = 500


def steps(ids: Iterable[int]) -> Iterator[int]:
    """Remove the rows with these primary keys in steps; yield how many each has removed. Those that are being sent stay.

    Raises ConfigurationError and Unreachable, maybe after some steps.
    """
    left = iter(ids)
    while some := list(islice(left, BATCH_SIZE)):
        with reading():
            removed: int = rows().filter(pk__in=some).exclude(state=State.SENDING).delete()[0]
        yield removed
