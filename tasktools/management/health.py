"""--health and the file for probes: what runworker and runbeat start beside Celery."""

from __future__ import annotations

import _thread
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from tasktools.control.names import node_name
from tasktools.exceptions import UsageError
from tasktools.health.address import Address
from tasktools.health.answer import Answer, Limits, Watch
from tasktools.health.file import Heartbeat
from tasktools.health.server import Reply, Routes, Server
from tasktools.management import stop_options

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found
    from tasktools.health.gauge import Gauge
    from tasktools.health.tally import Tally
    from tasktools.management.run_base import RunCommand

#: The limits that no option has.
DEFAULTS = Limits()

_NO_METRICS = "The numbers need a library that is not installed: pip install 'django-tasktools[metrics]'\n"


def add_options(parser: CommandParser, *, worker: bool) -> None:
    add = parser.add_argument_group("health").add_argument
    add("--health", metavar="[ADDR:]PORT|unix:PATH", help="answer /livez, /readyz and /metrics there; not by default")
    if worker:
        text = "not alive if every process of the pool has run the same task for that long (never)"
        add("--stuck-after", metavar="DURATION", help=text)


def read(options: dict[str, Any], limits: Limits = DEFAULTS) -> tuple[Address | None, Limits]:
    """Return what the options say. Raises UsageError."""
    address = None if options["health"] is None else Address.of(options["health"])
    stuck = stop_options.seconds(options.get("stuck_after"))
    if stuck is not None and stuck <= 0:
        raise UsageError("--stuck-after is not longer than nothing.", hint="give 10m, or leave it out")
    return address, replace(limits, stuck=stuck)


class Health:
    """What answers probes while Celery runs; `end` is called when it has ended."""

    def __init__(self, heartbeat: Heartbeat, server: Server | None, others: Sequence[Callable[[], None]]) -> None:
        self._heartbeat = heartbeat
        self._server = server
        self._others = others

    def end(self) -> None:
        """Let another process have the address and the file."""
        for stop in self._others:
            stop()
        self._heartbeat.stop()
        if self._server:
            self._server.stop()


def begin_worker(command: RunCommand, found: Found, options: dict[str, Any]) -> Health:
    """Follow the worker that is about to start in this process. Raises UsageError if the address cannot be had."""
    from celery.signals import worker_shutting_down

    from tasktools.health.looker import Looker
    from tasktools.health.tally import Tally
    from tasktools.health.worker_watch import WorkerWatch
    from tasktools.worker import numbers, watched

    address, limits = read(options, command.health_limits)
    watch = WorkerWatch(limits)
    intake = getattr(command, "intake", None)
    if intake is not None:
        watch.held.append(lambda: "takes no more tasks" if intake.is_shut else "")
    tally = Tally(found.app.tasks) if address else None
    worker = watched.install(found.app, watch, tally)
    looker = Looker(found.app, watch, worker.queues, paused=worker.paused, always=address is not None)
    server = _server(command, address, lambda: _routes(watch, lambda: numbers.gauges(worker), tally))
    health = _begin(command, Heartbeat("worker", node_name(options.get("hostname")), watch), server, [looker.stop])
    looker.start()
    if command.line is not None:  # another worker takes over
        # In a thread: this is called in a signal handler, which another signal may interrupt.
        worker_shutting_down.connect(lambda **_: _thread.start_new_thread(health.end, ()), weak=False)
    return health


def begin_beat(command: RunCommand, options: dict[str, Any]) -> Health:
    """Follow the beat that is about to start in this process. Raises UsageError if the address cannot be had."""
    from tasktools.beat import watched
    from tasktools.health.beat_watch import BeatWatch

    address, limits = read(options, command.health_limits)
    watch = BeatWatch(limits)
    watched.install(watch)
    name = f"{socket.gethostname()}:{os.getpid()}"
    server = _server(command, address, lambda: _routes(watch, lambda: watched.gauges(watch), None))
    return _begin(command, Heartbeat("beat", name, watch), server, [])


def _begin(
    command: RunCommand, heartbeat: Heartbeat, server: Server | None, others: Sequence[Callable[[], None]]
) -> Health:
    if server:
        server.start()
    if why := heartbeat.start():
        command.note(f"No probe can read a file of this {heartbeat.kind}: {why}.", style=command.style.WARNING)
    return Health(heartbeat, server, others)


def _server(command: RunCommand, address: Address | None, routes: Callable[[], Routes]) -> Server | None:
    if address is None:
        return None
    if command.line is not None and command.line.before:  # the process before this one may still have the address
        return Server(routes(), None, address.listen)
    listener = address.listen()
    shown = address if address.path else Address(host=address.host, port=listener.getsockname()[1])
    command.note(f"health: {'' if address.path else 'http://'}{shown}")
    return Server(routes(), listener, address.listen)


def _routes(watch: Watch, gauges: Callable[[], Sequence[Gauge]], tally: Tally | None) -> Routes:
    return {
        "/livez": lambda: _reply(watch.live()),
        "/readyz": lambda: _reply(watch.ready()),
        "/metrics": _metrics(gauges, tally),
    }


def _metrics(gauges: Callable[[], Sequence[Gauge]], tally: Tally | None) -> Callable[[], Reply]:
    """Import the library now: a process of the pool that is forked while a thread imports it could never import it."""
    try:
        from tasktools.health import exposition
    except ImportError:
        return lambda: Reply(501, _NO_METRICS.encode())
    return lambda: Reply(200, exposition.text(gauges(), tally), exposition.CONTENT_TYPE)


def _reply(answer: Answer) -> Reply:
    text = f"{'ok' if answer.ok else 'not ok'}: {answer.reason}\n"
    return Reply(200 if answer.ok else 503, text.encode(errors="replace"))
