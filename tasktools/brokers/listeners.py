"""The clients of a Redis or Valkey that wait for messages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import redis

#: The commands in which a worker of kombu waits for messages.
_WAITING = frozenset({"brpop", "bzpopmin"})


def clients(client: Any) -> list[Mapping[str, Any]] | None:
    """Return the clients of a server; None if its user may not ask."""
    with contextlib.suppress(redis.exceptions.ResponseError):
        return list(client.client_list())
    return None


def waiting(clients: Iterable[Mapping[str, Any]] | None) -> list[int] | None:
    """Return the database of each client that waits for messages; None if nobody knows the clients."""
    if clients is None:
        return None
    return [int(each.get("db", 0)) for each in clients if str(each.get("cmd", "")).lower() in _WAITING]


def listening(clients: Iterable[Mapping[str, Any]] | None) -> set[int] | None:
    """Return the databases in which a client waits for messages; None if nobody knows the clients."""
    found = waiting(clients)
    return None if found is None else set(found)
