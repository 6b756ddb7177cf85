"""The server of a Redis or Valkey: its role, memory and persistence, and who can reach it.

What its user may not ask (managed servers refuse CONFIG and CLIENT) is left out.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis

from tasktools.brokers.addresses import is_loopback, is_public
from tasktools.doctor import clocks
from tasktools.doctor.findings import Line, error, ok, warning

T = TypeVar("T")

#: How full the memory may be before it is worth a warning.
NEARLY_FULL = 0.9


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a server says of itself."""

    #: INFO, as redis-py reads it; empty if it may not be asked.
    info: Mapping[str, Any] = field(default_factory=dict)
    #: CONFIG GET; None if it may not be asked.
    config: Mapping[str, str] | None = None
    #: How many seconds its clock is ahead of ours; None if it may not be asked.
    ahead: float | None = None
    #: The host of its address; "" for a unix socket, None if it is not known (Sentinel names it).
    host: str | None = ""
    has_password: bool = False


def facts_of(client: Any) -> Facts:
    """Ask a server. Raises what redis-py raises when the connection is lost."""
    parameters = client.connection_pool.connection_kwargs
    return Facts(
        info=_allowed(client.info, {}),
        config=_allowed(lambda: _config(client), None),
        ahead=_allowed(lambda: _ahead(client), None),
        host="" if parameters.get("path") else parameters.get("host"),
        has_password=bool(parameters.get("password") or parameters.get("credential_provider")),
    )


def _allowed(call: Callable[[], T], otherwise: T) -> T:
    with contextlib.suppress(redis.exceptions.ResponseError):  # NoPermissionError is one
        return call()
    return otherwise


def _config(client: Any) -> dict[str, str]:
    found = {}
    for pattern in ("save", "bind", "protected-mode"):
        found.update(client.config_get(pattern))
    return found


def _ahead(client: Any) -> float:
    before = time.time()
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1e6 - (before + time.time()) / 2)


def lines(facts: Facts) -> Iterator[Line]:
    """Yield what there is to say about a server."""
    if not facts.info:
        yield ok("version", "not asked: its user may not use INFO")
    else:
        yield _server(facts.info)
        if facts.info.get("role") != "master":
            yield _replica(facts.info)
        yield _memory(facts.info)
        yield _persistence(facts)
    yield _access(facts)
    if facts.ahead is not None:
        yield clocks.line("the broker's server", facts.ahead)


def _server(info: Mapping[str, Any]) -> Line:
    name = "Valkey" if "valkey_version" in info else "Redis"
    text = f"{name} {info.get('valkey_version') or info.get('redis_version', '')}"
    if int(info.get("loading", 0)):
        return error("version", f"{text} is still loading its data, and answers no command.", "wait until it is ready")
    return ok("version", text)


def _replica(info: Mapping[str, Any]) -> Line:
    primary = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
    if int(info.get("slave_read_only", 1)):
        text = f"The server is a read-only replica of {primary}: nothing can be sent to it."
        return error("role", text, f"name the primary server in the settings: {primary}")
    text = f"The server is a replica of {primary}: what is written to it is lost."
    return warning("role", text, f"name the primary server in the settings: {primary}")


def _memory(info: Mapping[str, Any]) -> Line:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if not most:
        return ok("memory", f"{_megabytes(used)} used, without a limit")
    text = f"{_megabytes(used)} of {_megabytes(most)} used, {policy}"
    remedy = "free memory on that server, or raise its maxmemory"
    if policy.startswith("allkeys"):
        text = f"{text}: when its memory is full, the server deletes queues with their messages."
        return warning("memory", text, "CONFIG SET maxmemory-policy noeviction")
    if used >= most:
        return error("memory", f"{text}: it is full, and the server refuses every message.", remedy)
    if used >= most * NEARLY_FULL:
        return warning("memory", f"{text}: it is nearly full, and the server then refuses every message.", remedy)
    return ok("memory", text)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _persistence(facts: Facts) -> Line:
    info, room = facts.info, "make room on the disk of that server; its log says what it cannot write"
    if info.get("aof_last_write_status", "ok") != "ok":
        return error("persistence", "The server cannot write its append-only file, and refuses every message.", room)
    saves = facts.config.get("save") if facts.config is not None else None
    if info.get("rdb_last_bgsave_status", "ok") != "ok" and saves != "":
        return error("persistence", "The server could not save its last snapshot, and may refuse every message.", room)
    if int(info.get("aof_enabled", 0)):
        return ok("persistence", "an append-only file")
    if saves == "":
        text = "The server writes nothing to its disk: when it stops, all messages and results are lost."
        return warning("persistence", text, "CONFIG SET appendonly yes, and the same in its configuration file")
    return ok("persistence", f"snapshots (save {saves})" if saves else "no append-only file; snapshots are not known")


def _access(facts: Facts) -> Line:
    if facts.host == "":
        return ok("access", "a unix socket: only this machine")
    if facts.has_password:
        return ok("access", "with a password")
    reach = _reach(facts)
    if reach == "public":
        text = f"The server takes commands without a password, and its address {facts.host} is public."
        return error("access", text, "set a password (requirepass) and let only your machines reach its port")
    if reach == "open":
        text = "The server takes commands without a password from every machine that reaches its port."
        return warning("access", text, "set a password (requirepass), or bind it to an address that only yours reach")
    return ok("access", f"without a password, {reach}")


def _reach(facts: Facts) -> str:
    """Return who can reach a server that has no password: "public", "open", or a text for somebody."""
    if facts.host is None:
        return "who reaches it is not known"
    if is_public(facts.host):
        return "public"
    if not is_loopback(facts.host):
        return "open"
    if facts.config is None or "bind" not in facts.config:
        return "who else reaches it is not known"
    bound = facts.config["bind"].split() or ["*"]
    if all(is_loopback(each.removeprefix("-")) for each in bound):
        return f"bound to {' '.join(bound)}: only this machine"
    return "in protected mode: only this machine" if facts.config.get("protected-mode") == "yes" else "open"
