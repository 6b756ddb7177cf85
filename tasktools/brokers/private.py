"""kombu's Redis transport and Celery's Redis backend on the private Valkey: they start it when they first need it.

Messages and results are those of the stock classes: a stock client on the same socket reads them.
"""

from __future__ import annotations

from typing import Any

import redis
from celery.backends.redis import RedisBackend
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from tasktools import embedded
from tasktools.brokers.base import PRIVATE_SOCKET, STOCK_SOCKET
from tasktools.exceptions import ConfigurationError, TasktoolsError
from tasktools.folders import check_private

#: The name under which kombu finds the transport.
_ALIAS = PRIVATE_SOCKET.partition("+")[0]

#: The broker URL that stands for "none is configured, and there is no private one either".
UNSET = f"{_ALIAS}+unset:///"

_BACKEND = "tasktools.brokers.private.Backend"

_home: embedded.Home | None = None
_refusal: TasktoolsError


def use(conf: Any, home: embedded.Home) -> None:
    """Point the Celery configuration `conf` to the private Valkey of `home`, where it names no result backend of its own.

    There is one private Valkey a process; nothing is started here.
    """
    global _home
    _home = home
    TRANSPORT_ALIASES[_ALIAS] = f"{__name__}:Transport"
    conf.broker_url = f"{PRIVATE_SOCKET}{home.socket}"
    if not conf.result_backend:
        conf.result_backend = f"{_BACKEND}+socket://{home.socket}"


def prepare() -> None:
    """Start the private server if nothing listens on its socket, which may take longer than a broker is given to answer.

    Raises PrivateServerError when it cannot be started.
    """
    if _home is not None:
        embedded.ensure_listening(_home)


def refuse(conf: Any, error: TasktoolsError) -> None:
    """Make every use of the broker raise `error`, which says why there is none."""
    global _refusal
    _refusal = error
    TRANSPORT_ALIASES[_ALIAS] = f"{__name__}:Transport"
    conf.broker_url = UNSET


def unset_error() -> ConfigurationError:
    return ConfigurationError(
        "No broker is configured, and with DEBUG off there is no private one.",
        hint='set CELERY_BROKER_URL, as in CELERY_BROKER_URL = "redis://localhost:6379/0"',
    )


class _Starting:
    """Mixin of a redis connection class: a connect that nobody answers starts the server and tries once more."""

    def _connect(self) -> Any:
        connect = super()._connect  # type: ignore[misc]
        if _home is None:
            return connect()
        if _home.shares_folder:
            check_private(_home.socket.parent)
        try:
            return connect()
        except OSError:
            embedded.ensure(_home)
            return connect()


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
            raise _refusal
        super().__init__(client, **kwargs)


class Backend(RedisBackend):
    """Celery's Redis backend on the private Valkey."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connparams["connection_class"] = Connection

    def as_uri(self, include_password: bool = False) -> str:
        return f"{STOCK_SOCKET}{self.connparams['path']}"


def configured(conf: Any) -> bool:
    """Whether a broker is named anywhere: in the settings, on the app, or by CELERY_BROKER_URL in the environment."""
    named = (conf.broker_url, conf.broker_read_url, conf.broker_write_url, conf.broker_transport)
    return any(named) and conf.broker_url != UNSET
