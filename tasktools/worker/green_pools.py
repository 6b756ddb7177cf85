"""A worker whose tasks are greenlets (gevent, eventlet): fix what Celery's own pools do wrong when it stops."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import TYPE_CHECKING

from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated
from celery import platforms

from tasktools import celery_compat
from tasktools.environment import monkey

if TYPE_CHECKING:
    from tasktools.worker.protocols import Pool


def report_terminated(pool: Pool) -> None:
    """Make the tasks that `pool` terminates end as in prefork: a task that is acknowledged late goes back to its queue.

    Celery treats the end of a killed greenlet as a success, and acknowledges a task that is not done. terminate_job runs in
    a greenlet, so that Celery can note first why it kills: eventlet's pool waits for the end of the killed greenlet.
    """
    if pool.is_green:
        # eventlet's pool looks it up on the class, gevent's pool on the object.
        celery_compat.KILLABLE.put(type(pool), staticmethod(_killable))
        celery_compat.TERMINATE_JOB.wrap(pool, _in_greenlet)


def let_cold_stop_wait() -> None:
    """Make Celery's handlers of a cold stop run in a greenlet: they wait for tasks, and the loop's greenlet must not wait."""
    if monkey.switches():
        celery_compat.SIGNALS.put(platforms, _Signals())


class _Signals(type(celery_compat.SIGNALS.here())):  # type: ignore[misc]
    """Where Celery installs its handlers: `signals["SIGQUIT"] = handler`."""

    def __setitem__(self, name: str, handler: Callable[..., object]) -> None:
        # The handlers have the names "worker_Warm" and "worker_Cold" (celery.apps.worker._shutdown_handler).
        waits = getattr(handler, "__name__", "") == "worker_Cold"
        super().__setitem__(name, _in_greenlet(handler) if waits else handler)


def _in_greenlet(handler: Callable[..., object]) -> Callable[..., None]:
    def handle(*args: object) -> None:
        _thread.start_new_thread(handler, args)

    return handle


def _killable(target: Callable[..., object]) -> Callable[..., object]:
    from greenlet import GreenletExit

    def run(*args: object, **options: object) -> object:
        try:
            return target(*args, **options)
        except GreenletExit:
            return True, _terminated(), 0.0  # as a task's tracer returns it: failed, why, seconds

    return run


def _terminated() -> ExceptionInfo:
    try:
        raise Terminated("ended with its worker")
    except Terminated:
        return ExceptionInfo()
