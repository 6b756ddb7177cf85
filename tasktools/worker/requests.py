"""The requests of a worker, as Celery keeps them: sets (celery.worker.state) that the threads of its pool change at any time."""

from __future__ import annotations

from collections.abc import Iterable

from tasktools.worker.protocols import Request


def snapshot(requests: Iterable[Request]) -> list[Request]:
    """Return what is in such a set now. Python refuses to go on with one that is changed meanwhile; so it begins again."""
    while True:
        try:
            return list(requests)
        except RuntimeError:
            continue
