"""The records in a result backend of Redis or Valkey, with a limit for each wait: an enqueue in a web request waits for them.

Celery waits for 120 seconds for an answer, and tries again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from celery.backends.redis import RedisBackend, SentinelBackend
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as Silent
from redis.retry import Retry

from tasktools.brokers.reach import HINT, unreachable
from tasktools.celery_compat import BACKEND_PARAMETERS, BACKEND_POOL
from tasktools.exceptions import Unreachable
from tasktools.results.backend import backend_name

#: How long connecting may take, and how long one answer, in seconds: the same as for the broker.
LIMIT = 4.0

#: One client for each backend: Celery makes a backend for each thread.
_clients: WeakKeyDictionary[RedisBackend, Any] = WeakKeyDictionary()


def client_of(backend: Any) -> Any:
    """Return a client that talks to the database of a backend, and waits for less long than that of the backend."""
    if isinstance(backend, SentinelBackend):  # it finds the primary server by a pool of its own
        return backend.client
    found = _clients.get(backend)
    if found is None:
        # A connection that was idle for long may be gone: it is tried once more, at once. A server that is silent is not.
        # redis-py 5 tries commands again only for `retry_on_error`.
        once = Retry(NoBackoff(), 1, supported_errors=(Broken,))
        given = {**BACKEND_PARAMETERS.of(backend), "retry": once, "retry_on_timeout": False, "retry_on_error": [Broken]}
        limits = {name: _least(given[name]) for name in ("socket_timeout", "socket_connect_timeout") if name in given}
        pool = BACKEND_POOL.of(backend)(**{**given, **limits})
        found = _clients[backend] = Redis(connection_pool=pool)
    return found


def _least(chosen: Any) -> float:
    """Return the limit, or what the settings say if that is less."""
    return min(float(chosen), LIMIT) if chosen else LIMIT


@contextlib.contextmanager
def reaching(backend: Any) -> Iterator[None]:
    """Raise Unreachable for what redis-py raises inside the block."""
    try:
        yield
    except Silent as error:
        raise Unreachable(f"{backend_name(backend.app)} does not answer.", hint=HINT) from error
    except RedisError as error:
        raise unreachable(backend_name(backend.app), error) from error
