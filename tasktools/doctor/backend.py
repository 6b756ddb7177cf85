"""Whether the result backend is written and read."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery.backends.base import DisabledBackend
from celery.states import SUCCESS

from tasktools.brokers.reach import reach
from tasktools.doctor.findings import Line, error, of_error, ok, warning
from tasktools.exceptions import TasktoolsError
from tasktools.results.backend import SET_BACKEND, backend_name, check_backend, lost_results

if TYPE_CHECKING:
    from celery import Celery


def lines(app: Celery, limit: float) -> list[Line]:
    """Return what there is to say about the result backend."""
    if not is_kept(app):
        return [ok("backend", "none: results are not kept")]
    try:
        check_backend(app)
    except TasktoolsError as problem:
        return [of_error("backend", problem)]
    local = lost_results(app.backend)
    if local:
        return [warning("backend", local, SET_BACKEND)]
    if type(app.backend).__module__ == "celery.backends.rpc":
        return [ok("backend", f"{app.backend.as_uri()}: results come back by the broker")]
    return _written(app, limit)


def is_kept(app: Celery) -> bool:
    """Whether a result backend is configured, be it one that cannot be used."""
    try:
        return not isinstance(app.backend, DisabledBackend)
    except Exception:  # noqa: BLE001 - each backend has errors of its own
        return True


def _written(app: Celery, limit: float) -> list[Line]:
    name = backend_name(app)
    began = time.monotonic()
    try:
        is_back = reach(name, limit, partial(_round_trip, app.backend))
    except TasktoolsError as problem:
        return [of_error("backend", problem)]
    if not is_back:
        text = f"{name} took a result and does not give it back."
        return [error("backend", text, "look at its log; a replica or a cache may answer in its place")]
    return [ok("backend", f"{name.partition('backend ')[2]} written and read", seconds=time.monotonic() - began)]


def _round_trip(backend: Any) -> bool:
    """Store a result, read it, and delete it."""
    task_id = str(uuid4())
    backend.store_result(task_id, None, SUCCESS)
    try:
        return bool(backend.get_task_meta(task_id, cache=False).get("status") == SUCCESS)
    finally:
        backend.forget(task_id)
