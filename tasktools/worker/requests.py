"""The requests of a worker, as Celery keeps them: in collections that the threads of its pool change at any time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from celery.worker import state

from tasktools.worker.protocols import Consumer, Request

T = TypeVar("T")


def snapshot(items: Iterable[T]) -> list[T]:
    """Return the present items of such a collection. If a thread changes it during that, Python raises an error: try again."""
    while True:
        try:
            return list(items)
        except RuntimeError:
            continue


def taken(consumer: Consumer | None) -> list[Request]:
    """Return the requests of a worker that have not ended; without a consumer, it has none that a rate limit holds."""
    later: Iterable[Request] = getattr(state, "scheduled_requests", ())  # from Celery 5.7 on
    held = rate_limited(consumer) if consumer else []
    return [*snapshot(state.reserved_requests), *snapshot(later), *held]


def rate_limited(consumer: Consumer) -> list[Request]:
    """Return the requests that a rate limit holds. Celery does not count them as reserved before they may begin."""
    buckets = filter(None, snapshot(consumer.task_buckets.values()))
    return [request for bucket in buckets for request, _ in snapshot(bucket.contents)]
