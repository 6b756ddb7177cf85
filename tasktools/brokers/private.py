"""Point a Celery app to the private Valkey, or to nothing.

This code runs at every start of a project. The classes that talk to the server import the redis library (about 50 ms).
They are in private_redis.py, which kombu and Celery import by name at the first use of the broker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasktools.brokers.base import PRIVATE_BACKEND, PRIVATE_SOCKET
from tasktools.celery_compat import TRANSPORT_ALIASES
from tasktools.exceptions import ConfigurationError, TasktoolsError
from tasktools.project import current_project
from tasktools.valkey import server

#: The name under which kombu finds the transport.
_ALIAS = PRIVATE_SOCKET.partition("+")[0]

#: The broker URL that means "no broker is configured, and there is no private one either".
UNSET = f"{_ALIAS}+unset:///"

#: The hint for a misspelt setting.
DID_YOU_MEAN = "did you mean CELERY_BROKER_URL?"

_TRANSPORT = "tasktools.brokers.private_redis:Transport"


def use(conf: Any, home: server.Home) -> None:
    """Point the Celery configuration `conf` to the private Valkey of `home`; a result backend that it names stays as it is.

    There is one private Valkey per process. This does not start it.
    """
    current_project().home = home
    TRANSPORT_ALIASES.here()[_ALIAS] = _TRANSPORT
    conf.broker_url = f"{PRIVATE_SOCKET}{home.socket}"
    if not conf.result_backend:
        conf.result_backend = f"{PRIVATE_BACKEND}+socket://{home.socket}"
    if not conf.first("redbeat_redis_url", "REDBEAT_REDIS_URL"):
        # RedBeat would give broker_url to redis-py, which knows a socket by this form only.
        conf.redbeat_redis_url = f"unix://{home.socket}"


def prepare() -> None:
    """Start the private server if nothing listens on its socket. This may take longer than the time limit for a broker's answer.

    Raises PrivateServerError when it cannot be started.
    """
    home = current_project().home
    if home is not None:
        server.ensure_listening(home)


def folder_of(text: str) -> Path | None:
    """Return the data folder of this process's private server if `text` holds its address."""
    home = current_project().home
    return home.folder if home is not None and str(home.socket) in text else None


def refuse(conf: Any, error: TasktoolsError) -> None:
    """Make every use of the broker raise `error`, which says why there is none."""
    current_project().refusal = error
    TRANSPORT_ALIASES.here()[_ALIAS] = _TRANSPORT
    conf.broker_url = UNSET


def unset_error(other: str = "", slip: str = "") -> ConfigurationError:
    """Return the error for a missing broker.

    `other` is the -A name of another app that names a broker, `slip` a setting that is likely to be meant.
    """
    if other:
        return ConfigurationError(
            f"No broker is configured, and the private one is not used beside {other}, which names a broker.",
            hint="set CELERY_BROKER_URL, or choose that app with -A or TASKTOOLS_APP",
        )
    if slip:
        return ConfigurationError(f"No broker is configured: {slip} is no setting.", hint=DID_YOU_MEAN)
    return ConfigurationError(
        "No broker is configured, and with DEBUG off there is no private one.",
        hint='set CELERY_BROKER_URL, as in CELERY_BROKER_URL = "redis://localhost:6379/0"',
    )


def is_private(conf: Any) -> bool:
    """Whether `use` has pointed the configuration to the private Valkey."""
    return str(conf.broker_url).startswith(PRIVATE_SOCKET)


def configured(conf: Any) -> bool:
    """Whether the settings, the app, or CELERY_BROKER_URL in the environment names a broker."""
    named = (conf.broker_url, conf.broker_read_url, conf.broker_write_url, conf.broker_transport)
    return any(named) and conf.broker_url != UNSET
