"""A process of the pool that has been given a task keeps it when the worker stops or loses its connection.

Both flush the pool, and Celery then forgets each task whose process has not yet reported that it has begun. But a process
that has been given a task runs it: nobody acknowledged the message, so the task ran twice, and the stop waited 30 seconds for
that process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tasktools import celery_compat

if TYPE_CHECKING:
    from tasktools.worker.protocols import Pool


def keep_given_tasks(pool: Pool) -> None:
    """Let a flush of this pool forget only what no process has been given. Other pools than prefork forget nothing."""
    inner: Any = celery_compat.INNER_POOL.get(pool)
    if not celery_compat.BUSY.exists(inner):
        return

    def keeping(flush: Callable[[], None]) -> Callable[[], None]:
        def flush_and_keep() -> None:
            jobs: dict[int, Any] = celery_compat.JOBS.of(inner)
            given = {key: job for key, job in jobs.items() if not job.accepted() and celery_compat.GIVEN_TO.of(job)}
            flush()
            for key, job in given.items():
                process = celery_compat.GIVEN_TO.of(job)
                if process.is_alive():
                    jobs[key] = job
                    celery_compat.BUSY.of(inner).add(process.inqW_fd)  # it takes no other task until this one has ended

        return flush_and_keep

    celery_compat.POOL_FLUSH.wrap(pool, keeping)
