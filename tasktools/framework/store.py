"""Where the records of tasks are: in the result backend of the app, whichever it is.

A record is a result of its own, under the id of the task with `.django` behind it: any backend of Celery keeps it, for as
long as other results, and any client of Celery can read it.
"""

from __future__ import annotations

import errno
import sys
from datetime import datetime, timezone
from types import ModuleType
from typing import Any

from celery.backends.base import BaseKeyValueStoreBackend, DisabledBackend
from django.db import router, transaction
from django.db.models import Model

from tasktools.results.backend import lost_results

#: The state of a record, which is none of Celery's.
STATE = "DJANGO"


def record_id(task_id: str) -> str:
    return f"{task_id}.django"


def can_keep(backend: Any) -> bool:
    """Whether every process of the site can read what is stored in this backend. That of rpc:// keeps it for one client."""
    if isinstance(backend, DisabledBackend) or type(backend).__module__ == "celery.backends.rpc":
        return False
    return not lost_results(backend)


def keeps(task: Any, request: Any = None) -> bool:
    """Whether the calls of a task of Celery have records: a task, or the message that a worker has, may want no result."""
    is_ignored = bool(task.ignore_result or getattr(request, "ignore_result", False))
    return not is_ignored and can_keep(task.backend)


def is_in_transaction(backend: Any) -> bool:
    """Whether what is stored now becomes part of a transaction of the site: django-celery-results stores by models of Django.

    Others would see it after the commit alone, and what a worker has written by then would be in the way.
    """
    model = getattr(backend, "TaskModel", None)
    if not (isinstance(model, type) and issubclass(model, Model)):
        return False
    return bool(transaction.get_connection(router.db_for_write(model)).in_atomic_block)


def _is_redis(backend: Any) -> bool:
    """Whether it is Celery's for Redis, which is imported where it is used: it and redis-py would slow each command down."""
    module = sys.modules.get("celery.backends.redis")
    return module is not None and isinstance(backend, module.RedisBackend)


def _records() -> ModuleType:
    from tasktools.framework import redis_records

    return redis_records


def write(backend: Any, task_id: str, record: dict[str, Any]) -> None:
    """Store a record. Raises what the backend does; one in Redis raises Unreachable, and soon: the task waits for it."""
    if _is_redis(backend):
        # One command in place of three: nobody waits for a record, so that it need not be announced.
        key, value, seconds = on_redis(backend, task_id, record)
        with _records().reaching(backend):
            _records().client_of(backend).set(key, value, ex=seconds)
    elif isinstance(backend, BaseKeyValueStoreBackend):
        name = record_id(task_id)
        backend.set(backend.get_key_for_task(name), backend.encode(_meta(name, record)))
    else:
        backend.store_result(record_id(task_id), record, STATE)


def on_redis(backend: Any, task_id: str, record: dict[str, Any]) -> tuple[Any, Any, int | None]:
    """Return the key and the value of a record in a Redis, and the seconds after which it expires; None for never.

    A task that is to run later needs its record for that much longer.
    """
    name, seconds, after = record_id(task_id), backend.expires, record["run_after"]
    if seconds and after:
        seconds += max(0, int((datetime.fromisoformat(after) - datetime.now(timezone.utc)).total_seconds()))
    return backend.get_key_for_task(name), backend.encode(_meta(name, record)), seconds or None


def shares_database(backend: Any, client: Any) -> bool:
    """Whether a client of redis-py talks to the database of this backend, as the same user."""
    if not _is_redis(backend):
        return False
    ours, others = (each.connection_pool.connection_kwargs for each in (backend.client, client))
    return all(ours.get(name) == others.get(name) for name in _PLACE) and bool(ours.get("path") or ours.get("host"))


#: What of redis-py's arguments for a connection says where it leads, and as whom.
_PLACE = ("path", "host", "port", "db", "username")


def _meta(name: str, record: dict[str, Any]) -> dict[str, Any]:
    return {"status": STATE, "result": record, "traceback": None, "children": [], "date_done": None, "task_id": name}


def read(backend: Any, task_id: str) -> dict[str, Any] | None:
    """Return a record, None if there is none. Raises what the backend does, and Unreachable for one in Redis."""
    if not task_id:
        return None
    meta = _meta_on_redis(backend, task_id) if _is_redis(backend) else _meta_of(backend, task_id)
    record = meta.get("result")
    return record if meta.get("status") == STATE and isinstance(record, dict) else None


def _meta_of(backend: Any, task_id: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = backend.get_task_meta(record_id(task_id))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # no file of a result has such a name
            return {}
        raise
    return found


def _meta_on_redis(backend: Any, task_id: str) -> dict[str, Any]:
    with _records().reaching(backend):
        kept = _records().client_of(backend).get(backend.get_key_for_task(record_id(task_id)))
    found = backend.decode_result(kept) if kept else {}
    return found if isinstance(found, dict) else {}


def forget(backend: Any, task_id: str) -> None:
    """Remove a record. Raises what the backend does."""
    if not _is_redis(backend):
        backend.forget(record_id(task_id))
        return
    with _records().reaching(backend):
        _records().client_of(backend).delete(backend.get_key_for_task(record_id(task_id)))
