"""The brokers of the matrix: how each is started, and the settings that a site has for it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import RabbitMQ, Redis, Sentinel, started
from tests.support import Site

#: What a careful administrator gives: no command that looks at other clients or changes the server.
USER = ("site", "pw-site", "~* &* +@all -@admin -@dangerous -client")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A broker of the matrix."""

    title: str
    #: What `started` takes besides the folder; None for the private Valkey, which each site has for itself.
    server: tuple[Any, dict[str, Any]] | None
    #: Settings besides the URL of the broker.
    settings: Callable[[Any], dict[str, Any]]
    #: Whether a batch and its mark are one transaction, and queues can be read.
    redis: bool = True


def _same_for_results(server: Any) -> dict[str, Any]:
    return {"CELERY_RESULT_BACKEND": server.url}


def _prefixed(server: Any) -> dict[str, Any]:
    options = {"global_keyprefix": "site:"}
    return {
        **_same_for_results(server),
        "CELERY_BROKER_TRANSPORT_OPTIONS": options,
        "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": options,
    }


def _sentinel(server: Any) -> dict[str, Any]:
    options = dict(server.transport_options)
    return {
        **_same_for_results(server),
        "CELERY_BROKER_TRANSPORT_OPTIONS": options,
        "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": options,
    }


def _with_files(server: Any) -> dict[str, Any]:
    """Results in files: a broker of AMQP keeps none that another process could read."""
    return {"CELERY_RESULT_BACKEND": "file://{results}", "CELERY_TASK_QUEUE_MAX_PRIORITY": 10}


KINDS = {
    "private": Kind(title="private Valkey", server=None, settings=lambda server: {}),
    "redis": Kind(title="Redis", server=(Redis, {}), settings=_same_for_results),
    "prefix": Kind(title="Redis, key prefix", server=(Redis, {}), settings=_prefixed),
    "tls": Kind(title="Redis, TLS", server=(Redis, {"tls": True}), settings=_same_for_results),
    "user": Kind(title="Redis, ACL user", server=(Redis, {"user": USER}), settings=_same_for_results),
    "sentinel": Kind(title="Redis, Sentinel", server=(Sentinel, {}), settings=_sentinel),
    "rabbitmq": Kind(title="RabbitMQ", server=(RabbitMQ, {}), settings=_with_files, redis=False),
}


class Private:
    """The private Valkey of one site, with the methods of a server."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def kill(self) -> None:
        pid = self.site.server_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    stop = kill

    def start(self) -> None:
        """Do nothing: whoever needs it next starts it."""


@contextlib.contextmanager
def running(kind: Kind, folder: Path) -> Iterator[Any]:
    """Start the server of a kind; None for the private Valkey."""
    if kind.server is None:
        yield None
        return
    server, options = kind.server
    with started(server, folder, **options) as made:
        yield made


def settings_of(kind: Kind, server: Any, site: Site, queue: str) -> str:
    """Return the settings of a site whose messages go to `queue`."""
    values: dict[str, Any] = {"CELERY_TASK_DEFAULT_QUEUE": queue, **kind.settings(server)}
    if server is not None:
        values["CELERY_BROKER_URL"] = server.url
    results = site.root / "results"
    results.mkdir(exist_ok=True)
    texts = {key: value.replace("{results}", str(results)) for key, value in values.items() if isinstance(value, str)}
    return "".join(f"{key} = {value!r}\n" for key, value in {**values, **texts}.items())
