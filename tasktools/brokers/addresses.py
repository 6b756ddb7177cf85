"""The URLs of brokers, result backends and caches -> where they lead. Pure: nothing is looked up."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kombu.utils.url import url_to_parts

if TYPE_CHECKING:
    from celery import Celery

#: The port that a server listens on if nobody chooses another one.
PORTS = {"redis": 6379, "amqp": 5672, "amqps": 5671, "sentinel": 26379}

_KINDS = {"rediss": "redis", "socket": "redis", "unix": "redis", "tasktools": "redis", "pyamqp": "amqp"}

#: Names that no name server of the internet knows.
_PRIVATE = (".local", ".localdomain", ".internal", ".lan", ".home.arpa", ".svc", ".test", ".localhost")


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a URL leads."""

    #: "redis" (TLS or not, or a socket), "amqp", "amqps", "sentinel" or another scheme.
    kind: str
    #: "localhost" for each name of this machine.
    host: str
    #: None for a kind whose usual port is not known here.
    port: int | None
    #: The path of a socket, else "".
    socket: str
    #: The number of a Redis database, or the virtual host, as text.
    database: str
    is_tls: bool
    user: str = field(repr=False)
    password: str = field(repr=False)
    query: Mapping[str, str] = field(repr=False)

    @property
    def is_here(self) -> bool:
        """Whether it is a socket or a loopback address."""
        return bool(self.socket) or self.host == "localhost"

    @property
    def place(self) -> tuple[str, int | None, str]:
        """What two URLs have in common if they lead to the same server."""
        return ("", None, self.socket) if self.socket else (self.host, self.port, "")

    @property
    def shown(self) -> str:
        """The address without user and password."""
        if self.socket:
            return f"redis+socket://{self.socket}?virtual_host={self.database}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' * self.is_tls}://{host}:{self.port}/{self.database}"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A URL of the settings, and where it leads: None if it cannot be taken apart."""

    #: The setting that holds the URL, as Django's settings name it.
    setting: str
    url: str = field(repr=False)
    address: Address | None
    is_broker: bool


def servers(app: Celery) -> Iterator[Server]:
    """Yield each broker of an app, then its result backend if that has a URL. Failover URLs count one by one."""
    conf: Any = app.conf
    seen = set()
    for setting in ("broker_url", "broker_write_url", "broker_read_url"):
        for url in urls(getattr(conf, setting)):
            if url not in seen:
                seen.add(url)
                yield Server(setting=f"CELERY_{setting.upper()}", url=url, address=address(url), is_broker=True)
    for url in urls(conf.result_backend):
        yield Server(setting="CELERY_RESULT_BACKEND", url=url, address=address(url), is_broker=False)


def urls(value: Any) -> list[str]:
    """Return the URLs of a setting: one, several with semicolons, or a list."""
    listed = value if isinstance(value, (list, tuple)) else [value]
    return [url for each in listed if isinstance(each, str) for url in each.split(";") if "://" in url]


def address(url: str) -> Address | None:
    """Return where a URL leads, None if nobody can say."""
    scheme, _, rest = url.partition("://")
    kind, _, form = scheme.partition("+")
    try:
        parts = url_to_parts(f"http://{rest}")
    except ValueError:
        return None
    is_socket = "socket" in (kind, form) or kind == "unix"
    path, query = (parts.path or "").strip("/"), parts.query
    kind = "redis" if kind.startswith("tasktools.") else _KINDS.get(kind, kind)
    number = query.get("virtual_host") or query.get("db") if is_socket else query.get("db") or path
    return Address(
        kind=kind,
        host="" if is_socket else _host(parts.hostname),
        port=None if is_socket else parts.port or PORTS.get(kind),
        socket=f"/{path}" if is_socket else "",
        database=number or ("0" if kind == "redis" else ""),
        is_tls=scheme in ("rediss", "amqps"),
        user=parts.username or "",
        password=parts.password or "",
        query=query,
    )


def is_outside(host: str) -> bool:
    """Whether a host is likely to be beyond a private network: a public address, or a name with dots in it.

    A name without dots is that of a container or of a machine in the same network.
    """
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_PRIVATE)


def is_public(host: str) -> bool:
    """Whether a host is an address, not a name, that the whole internet reaches."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host is an address, or the usual name, that only its own machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(name: str | None) -> str:
    return "localhost" if name is None or is_loopback(name) else name
