"""Tracebacks without the frames above a task's own frames."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType

#: The modules above a task's own frames: the tracer and its callers, and the wrappers of autoretry_for (which raises the
#: caught exception again), of pydantic=True and of Task.__call__.
_WRAPPERS = {
    "tasktools.execution.tracer",
    "celery.app.trace",
    "celery.app.autoretry",
    "celery.app.base",
    "celery.app.task",
    "celery.utils.serialization",
}


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the task's first own frame on; return all of it if there is no such frame."""
    return next((each for each in _steps(trace) if _module(each) not in _WRAPPERS), trace)


def traceback_text(error: BaseException, trace: TracebackType | None) -> str:
    """Return the traceback as Python prints it, including the exceptions that led to this one."""
    return "".join(traceback.TracebackException(type(error), error, trace).format())


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _module(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))
