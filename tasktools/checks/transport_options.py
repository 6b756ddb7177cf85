"""W075, W076, W077: the options of broker and result backend are read, are complete, and let no request wait for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.brokers.addresses import Server, servers
from tasktools.brokers.masking import masked
from tasktools.discovery.celery_app import Found

#: The ids that this module can give.
IDS = ("tasktools.W075", "tasktools.W076", "tasktools.W077")

#: How long a message stays with a worker that does not acknowledge it, in seconds, if nothing is set (kombu.transport).
VISIBILITY = {"redis": 3600.0, "sentinel": 3600.0, "sqs": 1800.0}

_BROKER, _RESULTS = "CELERY_BROKER_TRANSPORT_OPTIONS", "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS"


def check(found: Found) -> list[CheckMessage]:
    """Look for options in the wrong place, and for URLs that need an option that is missing."""
    conf: Any = found.app.conf
    all_servers = list(servers(found.app))
    return [*_misplaced(conf, all_servers), *_incomplete(conf, all_servers)]


def check_deploy(found: Found) -> list[CheckMessage]:
    """Warn of a Redis on another machine that a request may wait for without an end."""
    options = options_of(found.app.conf.broker_transport_options)
    if options is None:
        return []
    missing = [name for name in ("socket_timeout", "socket_connect_timeout") if options.get(name) is None]
    remote = (
        each.url
        for each in servers(found.app)
        if each.is_broker and (place := each.address) and place.kind == "redis" and not place.is_here
    )
    url = next(remote, None) if missing else None
    if url is None:
        return []
    sentence = (
        f'The broker "{masked(url)}" has no {" and no ".join(missing)}: .delay() in a request may wait for ever if it '
        "stays silent."
    )
    hint = f'{_BROKER} = {{"socket_timeout": 2, "socket_connect_timeout": 2}}'
    return [CheckWarning(sentence, hint=hint, id="tasktools.W077")]


def options_of(value: Any) -> Mapping[str, Any] | None:
    """Return transport options, None if they are of a wrong kind."""
    return value if isinstance(value, Mapping) else {} if value is None else None


def visibility(conf: Any, kind: str) -> float | None:
    """Return the visibility timeout of a broker of this kind, in seconds; None if it has none, or if somebody else sets it."""
    options, usual = options_of(conf.broker_transport_options), VISIBILITY.get(kind.lower())
    if options is None or usual is None or options.get("predefined_queues") or not options.get("ack_emulation", True):
        return None
    chosen = options.get("visibility_timeout") or usual
    return float(chosen) if isinstance(chosen, (int, float)) else None


def _misplaced(conf: Any, all_servers: list[Server]) -> Iterator[CheckMessage]:
    """Nothing reads the visibility timeout of a result backend: people set it there for the broker."""
    chosen = (options_of(conf.result_backend_transport_options) or {}).get("visibility_timeout")
    kind = next((each.address.kind for each in all_servers if each.is_broker and each.address), "")
    used = visibility(conf, kind)
    if not isinstance(chosen, (int, float)) or used is None or chosen == used:
        return
    sentence = (
        f'The option "visibility_timeout" of {_RESULTS} is {chosen:g}, and nothing reads it there: '
        f"the broker's is {used:g} s."
    )
    hint = f'{_BROKER} = {{"visibility_timeout": {chosen:g}}}'
    yield CheckWarning(sentence, hint=hint, id="tasktools.W075")


def _incomplete(conf: Any, all_servers: list[Server]) -> Iterator[CheckMessage]:
    seen = set()
    for server in all_servers:
        setting = _BROKER if server.is_broker else _RESULTS
        options = options_of(
            conf.broker_transport_options if server.is_broker else conf.result_backend_transport_options
        )
        if server.address is None or options is None or server.setting in seen:
            continue
        if server.address.kind == "sentinel" and not options.get("master_name"):
            seen.add(server.setting)
            sentence = f'{server.setting}, "{masked(server.url)}", is a Sentinel, and {setting} has no "master_name".'
            yield CheckWarning(sentence, hint=f'{setting} = {{"master_name": "mymaster"}}', id="tasktools.W076")
        elif server.url.startswith("rediss://") and not server.is_broker and not _names_certificates(conf, server):
            sentence = f'{server.setting}, "{masked(server.url)}", has no ssl_cert_reqs: Celery refuses it.'
            hint = "add ?ssl_cert_reqs=required to the end of the URL"
            yield CheckWarning(sentence, hint=hint, id="tasktools.W076")


def _names_certificates(conf: Any, server: Server) -> bool:
    told = conf.redis_backend_use_ssl
    named = server.address is not None and server.address.query.get("ssl_cert_reqs")
    return bool(named) or (isinstance(told, Mapping) and "ssl_cert_reqs" in told)
