"""The numbers of a worker for /metrics, besides those of its tasks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tasktools.health.gauge import Gauge, one
from tasktools.health.memory import resident
from tasktools.health.worker_watch import RUNNING

if TYPE_CHECKING:
    from tasktools.worker.watched import WatchedWorker


def gauges(worker: WatchedWorker) -> list[Gauge]:
    """Return them as they are now; those of the queues are of the last look."""
    watch = worker.watch
    processes = worker.pool_processes()
    memory = {"main": resident([os.getpid()]), "pool": resident(processes)}
    ages = (
        {name: watch.ages.get(name, 0.0) for name in watch.lengths}
        if watch.ages or not any(watch.lengths.values())
        else {}
    )
    return [
        one("tasktools_worker_up_seconds", "How long this worker has run.", watch.clock() - watch.since),
        one("tasktools_worker_live", "Whether /livez says that it is alive.", watch.live().ok),
        one("tasktools_worker_ready", "Whether /readyz says that it is ready.", watch.ready().ok),
        one("tasktools_worker_connected", "Whether it is connected and consumes.", watch.phase == RUNNING),
        one(
            "tasktools_pool_size", "How many tasks can run at the same time.", watch.pool.size() if watch.pool else None
        ),
        one("tasktools_pool_busy", "How many tasks run.", len(watch.pool.running()) if watch.pool else None),
        one(
            "tasktools_pool_restarts",
            "Processes of the pool that took the place of others.",
            worker.restarts(),
            is_counter=True,
        ),
        Gauge("tasktools_queue_messages", "Messages that wait in a queue of this worker.", watch.lengths, "queue"),
        Gauge("tasktools_queue_oldest_seconds", "How long the oldest of them has waited.", ages, "queue"),
        Gauge(
            "tasktools_resident_memory_bytes",
            "Resident memory of the main process and of those of the pool.",
            {name: size for name, size in memory.items() if size is not None},
            "process",
        ),
    ]
