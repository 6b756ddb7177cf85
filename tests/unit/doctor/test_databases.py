from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tasktools.doctor import databases

#: By database, what is bound to the exchange of remote control.
BOUND = {0: {b"\x06\x16\x06\x16here@h.celery.pidbox"}, 3: {b"\x06\x16\x06\x16away@h.celery.pidbox"}, 4: set[bytes]()}


class Client:
    """A server with three databases; `clients` None forbids CLIENT LIST, `refused` other commands."""

    def __init__(self, clients: list[dict[str, Any]] | None, *refused: str) -> None:
        self.clients = clients
        self.refused = refused
        self.connection_pool = SimpleNamespace(connection_kwargs={"db": 0})
        self.connection = SimpleNamespace(disconnect=lambda: self.ended.append("disconnect"))
        self.ended: list[str] = []

    def client(self) -> Client:
        return self

    def info(self, section: str) -> Any:
        self._allow("info")
        return {f"db{database}": {} for database in BOUND} | {"# other": {}}

    def client_list(self) -> Any:
        self._allow("client" if self.clients is None else "")
        return self.clients

    def select(self, database: int) -> None:
        self._allow("select")
        self.database = database

    def smembers(self, key: str) -> Any:
        return BOUND[self.database] if key == "full:_kombu.binding.celery.pidbox" else set()

    def close(self) -> None:
        self.ended.append("close")

    def _allow(self, command: str) -> None:
        if command in (*self.refused, *(["client"] if self.clients is None else [])):
            raise redis.exceptions.NoPermissionError(command)


def elsewhere(client: Client) -> dict[int, set[str]]:
    channel = SimpleNamespace(keyprefix_queue="_kombu.binding.%s", sep="\x06\x16")
    keys: Any = SimpleNamespace(client=client, channel=channel, full=lambda name: f"full:{name}")
    return databases.elsewhere(keys, "celery.pidbox")


def waiting(*found: int) -> list[dict[str, Any]]:
    return [{"db": str(database), "cmd": "brpop"} for database in found]


@pytest.mark.parametrize(
    ("client", "found"),
    [
        (Client(waiting(0, 3)), {3: {"away@h"}}),
        (Client(waiting(0, 4)), {}),
        (Client(waiting()), {}),
        (Client(None), {3: {"away@h"}}),
        (Client(waiting(3), "info"), {}),
        (Client(waiting(3), "select"), {}),
    ],
    ids=["waits", "waits without a name", "killed", "no CLIENT LIST", "no INFO", "no SELECT"],
)
def test_elsewhere__who_listens_on_another_database(client: Client, found: dict[int, set[str]]) -> None:
    assert elsewhere(client) == found


@pytest.mark.parametrize("refused", [(), ("select",)])
def test_elsewhere__gives_the_pool_no_connection_to_another_database(refused: tuple[str, ...]) -> None:
    client = Client(waiting(3), *refused)
    elsewhere(client)
    assert client.ended == ["disconnect", "close"]
