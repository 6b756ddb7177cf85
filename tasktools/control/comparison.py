"""The tasks of a worker compared with those of this process."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What one knows and the other does not, by name."""

    #: Tasks of this process that the worker would get, and throws away.
    lacks: list[str]
    #: Tasks of the worker that this process does not know.
    has_more: list[str]

    @property
    def is_none(self) -> bool:
        return not (self.lacks or self.has_more)


def difference(known: Collection[str], queues: Collection[str], here: Mapping[str, str]) -> Difference:
    """Compare a worker that knows these tasks, and takes from these queues, with this process.

    `here` has the queue of each task of this process, "" for one that may go to any queue.
    """
    lacks = sorted(name for name, queue in here.items() if name not in known and (queue in queues or not queue))
    return Difference(lacks=lacks, has_more=sorted({*known} - here.keys()))


def task_names(registered: Collection[Any]) -> set[str]:
    """Return the names in what a worker answers to `registered`: it adds the options of some (`shop.add [rate_limit=1/s]`)."""
    return {str(task).partition(" [")[0] for task in registered}
