"""kombu's Redis transport and Celery's Redis backend on the private Valkey: they start it when they first need it.

Messages and results have the format of the standard classes: a standard client on the same socket can read them.
"""

from __future__ import annotations

from typing import Any

import redis
from celery.backends.redis import RedisBackend
from kombu.transport import redis as kombu_redis

from tasktools.brokers import private
from tasktools.brokers.base import STOCK_SOCKET, with_stock_urls
from tasktools.celery_compat import BACKEND_PARAMETERS
from tasktools.exceptions import PrivateServerError
from tasktools.project import current_project
from tasktools.valkey import server
from tasktools.valkey.folders import check_peer


class _Starting:
    """Mixin of a redis connection class: if nobody answers, it starts the server and tries to connect once more.

    It sends nothing to a server that belongs to another user.
    """

    def _connect(self) -> Any:
        connect = super()._connect  # type: ignore[misc]
        home = current_project().home
        if home is None:
            return connect()
        server.check(home)
        try:
            connection = connect()
        except OSError:
            server.ensure(home)
            connection = connect()
        try:
            check_peer(connection, home.socket)
        except PrivateServerError:
            connection.close()
            raise
        return connection


class Connection(_Starting, redis.UnixDomainSocketConnection):
    """A connection to the private Valkey."""


class Channel(kombu_redis.Channel):
    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        stock = parameters["connection_class"]
        parameters["connection_class"] = type("Connection", (_Starting, stock), {})
        return parameters


class Transport(kombu_redis.Transport):
    Channel = Channel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        if str(client.hostname).startswith("unset:"):
            raise current_project().refusal or private.unset_error()
        super().__init__(client, **kwargs)
        as_uri = client.as_uri
        client.as_uri = lambda *words, **options: with_stock_urls(as_uri(*words, **options))


class Backend(RedisBackend):
    """Celery's Redis backend on the private Valkey."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        BACKEND_PARAMETERS.of(self)["connection_class"] = Connection

    def as_uri(self, include_password: bool = False) -> str:
        return f"{STOCK_SOCKET}{BACKEND_PARAMETERS.of(self)['path']}"
