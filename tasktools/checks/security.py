"""W080-W084, with --deploy alone: nobody but this site gives orders to its workers."""

from __future__ import annotations

import importlib.util
import os
import ssl
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import conf as own
from tasktools import startup
from tasktools.arguments.names import shown, shown_path
from tasktools.brokers.addresses import PORTS, Address, Server, is_outside, is_public, servers
from tasktools.brokers.masking import masked
from tasktools.checks.written_passwords import holds
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import tried

#: The ids that this module can give.
IDS = ("tasktools.W080", "tasktools.W081", "tasktools.W082", "tasktools.W083", "tasktools.W084")

_PICKLE = frozenset({"pickle", "application/x-python-serialize"})

#: What stands for "no certificate is checked" in a URL and in a dictionary.
_UNCHECKED = ("none", "CERT_NONE", ssl.CERT_NONE)

#: Words of fewer characters, and these, stand in any file.
_SHORTEST, _USUAL = 6, ("guest", "password", "redis", "rabbitmq", "celery", "localhost", "changeme")


def check_deploy(found: Found) -> list[CheckMessage]:
    """Look at the settings, and at the files that hold a password of theirs. No server is asked."""
    conf: Any = found.app.conf
    seen = list(servers(found.app))
    return [*_pickle(conf), *_open(conf, seen), *_uncertified(conf, seen), *_readable(found, seen), *_public(seen)]


def _pickle(conf: Any) -> Iterator[CheckMessage]:
    for name in ("accept_content", "result_accept_content"):
        accepted = conf[name]
        found = (
            next((each for each in accepted if each in _PICKLE), None)
            if isinstance(accepted, (list, tuple, set))
            else None
        )
        if found:
            who = "clients" if name.startswith("result") else "workers"
            server = "result backend" if name.startswith("result") else "broker"
            sentence = f'CELERY_{name.upper()} has "{found}": {who} run any code that somebody writes to the {server}.'
            hint = f'CELERY_{name.upper()} = ["json"], after the last message with pickle is done'
            yield CheckWarning(sentence, hint=hint, id="tasktools.W080")


def _open(conf: Any, seen: list[Server]) -> Iterator[CheckMessage]:
    for server in seen:
        place = server.address
        if place is None or place.kind != "redis" or not is_outside(place.host):
            continue
        lacks = [
            *(["password"] if not _has_password(conf, place, server.is_broker) else []),
            *(["TLS"] if not place.is_tls and not _uses_tls(conf, server) else []),
        ]
        if lacks:
            sentence = (
                f'{server.setting}, "{masked(server.url)}", is on another machine and has no {" and no ".join(lacks)}.'
            )
            what = "both" if len(lacks) == 2 else f"{'a password' if lacks == ['password'] else 'TLS'}"
            hint = f"set up {what} on the server, and write rediss://USER:**@HOST:PORT/DATABASE?ssl_cert_reqs=required"
            yield CheckWarning(sentence, hint=hint, id="tasktools.W081")


def _has_password(conf: Any, place: Address, is_broker: bool) -> bool:
    if place.password or "credential_provider" in place.query:
        return True
    if is_broker:
        return bool(conf.broker_password)
    return bool(conf.get("redis_password") or conf.get("redis_backend_credential_provider"))


def _uses_tls(conf: Any, server: Server) -> bool:
    return bool(conf.broker_use_ssl if server.is_broker else conf.redis_backend_use_ssl)


def _uncertified(conf: Any, seen: list[Server]) -> Iterator[CheckMessage]:
    hint = "CERT_REQUIRED, with ssl_ca_certs if the authority is your own"
    for server in seen:
        place = server.address
        if place and not place.is_here and place.query.get("ssl_cert_reqs") in _UNCHECKED:
            sentence = f'{server.setting}, "{masked(server.url)}", checks no certificate: anybody on the way may answer for it.'
            yield CheckWarning(sentence, hint=f"write ssl_cert_reqs={hint}", id="tasktools.W082")
    for name, is_broker in (("broker_use_ssl", True), ("redis_backend_use_ssl", False)):
        told = conf[name]
        if isinstance(told, Mapping) and any(
            each.address and not each.address.is_here for each in seen if each.is_broker is is_broker
        ):
            key = next((key for key in ("ssl_cert_reqs", "cert_reqs") if told.get(key, "") in _UNCHECKED), None)
            if key:
                value = shown(str(getattr(told[key], "name", told[key])))
                sentence = f'CELERY_{name.upper()} has "{key}": {value}: no certificate is checked.'
                yield CheckWarning(sentence, hint=f'"{key}": ssl.{hint}', id="tasktools.W082")


def _readable(found: Found, seen: list[Server]) -> Iterator[CheckMessage]:
    """Look into the files that a site keeps its settings in: the module of the settings, and .env beside manage.py.

    A path with a password in it is left out: it is hidden in the message, and nobody can use the line of the hint.
    """
    passwords = {each.address.password for each in seen if each.address}
    secrets = [each for each in passwords if len(each) >= _SHORTEST and each.lower() not in _USUAL]
    for path in _files() if secrets else ():
        if is_readable(path) and holds(path, secrets):
            sentence = f'Every user of this machine can read a password of Celery in "{shown_path(path)}".'
            hint = f'chmod o= "{shown_path(path)}"'
            hide = startup.hider(found.app)
            if (hide(sentence), hide(hint)) == (sentence, hint):
                yield CheckWarning(sentence, hint=hint, id="tasktools.W083")


def _files() -> Iterator[Path]:
    module = getattr(settings, "SETTINGS_MODULE", None)
    spec = tried(lambda: importlib.util.find_spec(str(module)), lambda _: None) if module else None
    if spec is not None and spec.origin:
        yield Path(spec.origin)
    base = tried(own.base_dir, lambda _: None)
    if base is not None:
        yield base / ".env"


def is_readable(path: Path) -> bool:
    """Whether users of the machine who are neither its owner nor in its group can read a file."""
    try:
        modes = [os.stat(each).st_mode for each in (path, *path.resolve().parents)]
    except OSError:
        return False
    return bool(modes[0] & stat.S_IROTH) and all(mode & stat.S_IXOTH for mode in modes[1:])


def _public(seen: list[Server]) -> Iterator[CheckMessage]:
    for server in seen:
        place = server.address
        if place and server.is_broker and is_public(place.host) and place.port == PORTS.get(place.kind):
            sentence = (
                f'{server.setting}, "{masked(server.url)}", is at port {place.port} of a public address, '
                "where everybody looks for one."
            )
            hint = "move it into a private network; close the port in the firewall until then"
            yield CheckWarning(sentence, hint=hint, id="tasktools.W084")
