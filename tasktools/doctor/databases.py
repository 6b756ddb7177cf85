"""Workers that listen on another database of the same Redis or Valkey: the commonest reason that nobody takes a message."""

from __future__ import annotations

import re
from collections.abc import Mapping

import redis

from tasktools.brokers.keys import Keys
from tasktools.brokers.listeners import clients, listening
from tasktools.doctor.findings import Line, error, listed

_DATABASE = re.compile(r"db(\d+)")


def elsewhere(keys: Keys, control: str) -> dict[int, set[str]]:
    """Return the names of the workers of each other database of the server, as far as its user may ask.

    `control` is the name of the exchange of remote control, to which each worker binds a queue with its own name. A worker
    that was killed leaves it there: where the server says who waits for messages, only those databases count.
    """
    parameters = keys.client.connection_pool.connection_kwargs
    here = int(parameters.get("db") or 0)
    try:
        others = {int(match[1]) for name in keys.client.info("keyspace") if (match := _DATABASE.fullmatch(name))}
    except redis.exceptions.ResponseError:
        return {}
    waiting = listening(clients(keys.client))
    found = {}
    for database in sorted(others - {here}):
        if waiting is None or database in waiting:
            names = _bound(keys, database, control)
            if names:
                found[database] = names
    return found


def _bound(keys: Keys, database: int, control: str) -> set[str]:
    single = keys.client.client()  # one connection of the pool, whatever kind of pool it is
    try:
        single.select(database)
        bindings = single.smembers(keys.full(keys.channel.keyprefix_queue % control))
    except redis.exceptions.ResponseError:
        return set()
    finally:
        single.connection.disconnect()  # the pool connects it again, to its own database
        single.close()
    queues = (binding.decode(errors="replace").split(keys.channel.sep)[-1] for binding in bindings)
    return {queue.removesuffix(f".{control}") for queue in queues}


def line(here: int, found: Mapping[int, set[str]]) -> Line:
    """Return the error of workers on other databases."""
    where = "; ".join(f"database {database} ({listed(names)})" for database, names in found.items())
    text = f"No worker answers on database {here}, to which this process sends. Workers listen on {where}."
    return error("workers", text, "give this process and the workers the same CELERY_BROKER_URL")
