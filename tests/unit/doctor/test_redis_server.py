from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tasktools.doctor.findings import Line
from tasktools.doctor.redis_server import Facts, facts_of, lines

INFO = {"redis_version": "7.2.4", "role": "master", "used_memory": 2_000_000, "maxmemory": 0, "aof_enabled": 1}
LOCAL = {"bind": "127.0.0.1 -::1", "protected-mode": "yes", "save": "3600 1"}


def told(name: str, *, info: dict[str, Any] | None = None, **facts: Any) -> Line:
    found = lines(Facts(**{"info": {**INFO, **(info or {})}, "config": LOCAL, "host": "127.0.0.1", **facts}))
    (line,) = (each for each in found if each.name == name)
    return line


def test_lines__of_a_server_without_faults() -> None:
    found = list(lines(Facts(info=INFO, config=LOCAL, ahead=0.1, host="127.0.0.1")))
    assert [(line.status, line.name, line.text) for line in found] == [
        ("ok", "version", "Redis 7.2.4"),
        ("ok", "memory", "2.0 MB used, without a limit"),
        ("ok", "persistence", "an append-only file"),
        ("ok", "access", "without a password, bound to 127.0.0.1 -::1: only this machine"),
        ("ok", "clock", "that of the broker's server is as here"),
    ]


def test_lines__of_a_server_that_may_not_be_asked() -> None:
    found = list(lines(Facts(host="127.0.0.1")))
    assert [(line.status, line.name) for line in found] == [("ok", "version"), ("ok", "access")]
    assert found[1].text == "without a password, who else reaches it is not known"


def test_version__of_valkey_and_while_it_loads() -> None:
    assert told("version", info={"valkey_version": "9.0"}).text == "Valkey 9.0"
    line = told("version", info={"loading": 1})
    assert (line.status, line.text) == ("error", "Redis 7.2.4 is still loading its data, and answers no command.")


@pytest.mark.parametrize(("read_only", "status"), [(1, "error"), (0, "warning")])
def test_role__of_a_replica(read_only: int, status: str) -> None:
    replica = {"role": "slave", "master_host": "main", "master_port": 6379, "slave_read_only": read_only}
    line = told("role", info=replica)
    assert (line.status, line.remedy) == (status, "name the primary server in the settings: main:6379")


@pytest.mark.parametrize(
    ("used", "policy", "status", "end"),
    [
        (899, "noeviction", "ok", "noeviction"),
        (900, "noeviction", "warning", "nearly full, and the server then refuses every message."),
        (999, "volatile-lru", "warning", "nearly full, and the server then refuses every message."),
        (1000, "noeviction", "error", "it is full, and the server refuses every message."),
        (1, "volatile-ttl", "ok", "volatile-ttl"),
        (1, "allkeys-lru", "warning", "the server deletes queues with their messages."),
    ],
)
def test_memory__with_a_limit(used: int, policy: str, status: str, end: str) -> None:
    line = told("memory", info={"used_memory": used, "maxmemory": 1000, "maxmemory_policy": policy})
    assert line.status == status
    assert line.text.endswith(end)
    assert bool(line.remedy) is (status != "ok")


@pytest.mark.parametrize(
    ("info", "config", "status", "text"),
    [
        ({"aof_enabled": 0}, {"save": ""}, "warning", "The server writes nothing to its disk"),
        ({"aof_enabled": 0}, {"save": "3600 1"}, "ok", "snapshots (save 3600 1)"),
        ({"aof_enabled": 0}, None, "ok", "no append-only file; snapshots are not known"),
        ({"aof_last_write_status": "err"}, {"save": ""}, "error", "The server cannot write its append-only file"),
        ({"rdb_last_bgsave_status": "err"}, {"save": "3600 1"}, "error", "The server could not save its last snapshot"),
        ({"rdb_last_bgsave_status": "err"}, None, "error", "The server could not save its last snapshot"),
        ({"rdb_last_bgsave_status": "err"}, {"save": ""}, "ok", "an append-only file"),
    ],
)
def test_persistence__what_is_lost(info: dict[str, Any], config: Any, status: str, text: str) -> None:
    line = told("persistence", info=info, config=config)
    assert (line.status, line.text.startswith(text)) == (status, True)


OPEN = {"bind": "* -::*", "protected-mode": "no"}


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        ({"host": None}, "ok", "without a password, who reaches it is not known"),
        ({"host": ""}, "ok", "a unix socket: only this machine"),
        ({"host": "8.8.8.8", "has_password": True}, "ok", "with a password"),
        (
            {"host": "8.8.8.8"},
            "error",
            "The server takes commands without a password, and its address 8.8.8.8 is public.",
        ),
        ({"host": "10.0.0.1"}, "warning", "The server takes commands without a password from every machine"),
        (
            {"host": "redis", "config": None},
            "warning",
            "The server takes commands without a password from every machine",
        ),
        ({"host": "localhost", "config": OPEN}, "warning", "The server takes commands without a password from every"),
        (
            {"host": "localhost", "config": {**OPEN, "bind": ""}},
            "warning",
            "The server takes commands without a password",
        ),
        (
            {"host": "localhost", "config": {**OPEN, "protected-mode": "yes"}},
            "ok",
            "without a password, in protected mode: only this machine",
        ),
        ({"host": "localhost", "config": {}}, "ok", "without a password, who else reaches it is not known"),
        ({"config": {"bind": "127.0.0.1 10.0.0.1"}}, "warning", "The server takes commands without a password from"),
    ],
)
def test_access__who_reaches_it(facts: dict[str, Any], status: str, text: str) -> None:
    line = told("access", **facts)
    assert (line.status, line.text.startswith(text)) == (status, True), line


class Server:
    """A client of a server whose clock is an hour ahead."""

    def __init__(self, *refused: str, **parameters: Any) -> None:
        self.refused = refused
        self.connection_pool = SimpleNamespace(connection_kwargs=parameters)

    def _answer(self, command: str, value: Any) -> Any:
        if command in self.refused:
            raise redis.exceptions.NoPermissionError(command)
        return value

    def info(self) -> Any:
        return self._answer("info", INFO)

    def config_get(self, pattern: str) -> Any:
        return self._answer("config", {pattern: "x"})

    def time(self) -> Any:
        return self._answer("time", (int(time.time()) + 3600, 500_000))


def test_facts__of_a_server() -> None:
    found = facts_of(Server(host="here", password="secret"))
    assert (found.info, found.host, found.has_password) == (INFO, "here", True)
    assert found.config == {"save": "x", "bind": "x", "protected-mode": "x"}
    assert found.ahead is not None
    assert 3598 < found.ahead < 3602
    (clock,) = (line for line in lines(found) if line.name == "clock")
    assert (clock.status, clock.text[:51]) == ("error", "The clock of the broker's server is 1 h ahead of th")


def test_facts__what_may_not_be_asked_is_left_out() -> None:
    found = facts_of(Server("info", "config", "time", path="/srv/socket", credential_provider=object()))
    assert (found.info, found.config, found.ahead, found.host, found.has_password) == ({}, None, None, "", True)
    assert facts_of(Server(host="here")).has_password is False
    assert facts_of(Server(service_name="mymaster")).host is None
