"""A task that raises what is no Exception, as exit() does. Celery lets it end the worker or its process, and loses the task."""

from __future__ import annotations

from celery.exceptions import WorkerShutdown, WorkerTerminate

from tasktools.brokers.reach import came_through


class TaskExit(Exception):
    """The task has raised what is no Exception, as exit() does: for Celery the end of the worker, here a failure of the task."""


def is_end(error: BaseException) -> bool:
    """Whether it ends the process, and not the task alone: somebody stops the worker, or the pool ends the process.

    A process of the pool ends itself so when it gets SIGTERM: the task was revoked, or the worker is shut down at once.
    """
    if isinstance(error, (KeyboardInterrupt, WorkerShutdown, WorkerTerminate)):
        return True
    return isinstance(error, SystemExit) and came_through(error, "billiard.common")


def is_of_pool(error: BaseException) -> bool:
    """Whether it is how gevent or eventlet ends what takes too long: Celery waits for it."""
    return type(error).__module__.partition(".")[0] in {"gevent", "eventlet", "greenlet"}


def failure_of(error: BaseException) -> TaskExit | None:
    """Return the failure to raise in place of an error; None if the error is for Celery: an Exception, or one of the above."""
    if isinstance(error, Exception) or is_end(error) or is_of_pool(error):
        return None
    what = f"called exit({error.code!r})" if isinstance(error, SystemExit) else f"raised {_named(error)}"
    return TaskExit(f"The task {what}.")


def _named(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
