"""The requests of a worker, as Celery keeps them: sets (celery.worker.state) that the threads of its pool change at any time."""

from __future__ import annotations

from collections.abc import Iterable

from tasktools.worker.protocols import Request


def snapshot(requests: Iterable[Request]) -> list[Request]:
    """Return the present items of such a set. If a thread changes the set during that, Python raises an error: try again."""
    while True:
        try:
            return list(requests)
        except RuntimeError:
            continue
