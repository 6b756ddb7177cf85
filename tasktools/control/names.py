"""The names by which workers of runworker say more of themselves than those of plain Celery."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

#: How the name begins that such a worker gives to a connection to Redis.
MARK = "tasktools-worker:"

#: The key under which it adds to its `stats`.
ADDED = "tasktools"

#: What it adds there while it takes no tasks: another one replaces it, or code has changed and another one is to start.
LEAVES = "leaves"

#: The remote-control command by which workers learn of paused queues.
LOOK_AT_PAUSES = "tasktools_look_at_pauses"


def node_name(typed: str | None) -> str:
    """Return the name of a worker for what was typed for -n; Celery's own if nothing was."""
    from celery.utils.nodenames import default_nodename, host_format

    return str(host_format(default_nodename(typed or "")))


def connection_name(worker: str) -> str:
    """Return the name that a worker gives to its connection: Redis takes no spaces there."""
    return f"{MARK}{quote(worker, safe='@')}"


def leaves(stats: object) -> bool:
    """Whether these are the `stats` of a worker that another one replaces, or is about to. Anybody may answer anything."""
    added = stats.get(ADDED) if isinstance(stats, Mapping) else None
    return isinstance(added, Mapping) and added.get(LEAVES) is True


def worker_of(name: str) -> str | None:
    """Return the worker that has given this name to a connection; None if it is no such name."""
    return unquote(name.removeprefix(MARK)) if name.startswith(MARK) else None
