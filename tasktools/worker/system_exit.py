"""A task that calls sys.exit() in a thread or a greenlet: make it fail, as it does in its own process (prefork)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.exceptions import WorkerShutdown, WorkerTerminate

from tasktools.celery_compat import POOL_APPLY

if TYPE_CHECKING:
    from tasktools.worker.protocols import Pool

logger = logging.getLogger(__name__)

#: The attribute of a pool whose tasks fail: others wrap its apply_async too.
_MARK = "tasktools_fails_on_exit"


def fail_on_exit(pool: Pool) -> None:
    """Make tasks that raise SystemExit fail in the pools threads, gevent and eventlet.

    Celery (celery.concurrency.base.apply_target) does not handle it there: the task counts as running forever, and keeps its
    place in a worker that reserves none ahead. Celery's requests keep a reference to `apply_async`: call this before.
    """
    is_meant = pool.is_green or type(pool).__module__ == "celery.concurrency.thread"
    if not is_meant or _MARK in vars(pool):
        return
    vars(pool)[_MARK] = True

    def wrapper(apply_async: Callable[..., object]) -> Callable[..., object]:
        def apply_failing(target: Callable[..., object], *args: object, **options: object) -> object:
            return apply_async(_failing(target), *args, **options)

        return apply_failing

    POOL_APPLY.wrap(pool, wrapper)


def _failing(target: Callable[..., object]) -> Callable[..., object]:
    def run(*args: object, **options: object) -> object:
        try:
            return target(*args, **options)
        except (WorkerShutdown, WorkerTerminate):
            raise
        except SystemExit as error:
            logger.error(
                "A task has called sys.exit(%s): it has failed.", "" if error.code is None else repr(error.code)
            )
            return True, _lost(error), 0.0  # as a task's tracer returns it: failed, why, seconds

    return run


def _lost(error: SystemExit) -> ExceptionInfo:
    try:
        raise WorkerLostError(f"The task called sys.exit({'' if error.code is None else repr(error.code)}).")
    except WorkerLostError:
        return ExceptionInfo()
