"""What a worker of runworker says of itself beyond a worker of plain Celery: to `showworkers`, and to whoever asks for `stats`.

Its `stats` have a key more, and on Redis and Valkey one of its connections has its name. Only by this name can a worker
that does not answer be told from one that was killed: kombu leaves the names of both on the server.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import celery
from celery import bootsteps, signals
from celery.worker import control
from celery.worker.request import Request
from celery.worker.state import active_requests, reserved_requests

from tasktools.celery_compat import STATS
from tasktools.control.names import ADDED, LEAVES, connection_name
from tasktools.environment.code import code_digest
from tasktools.worker.requests import snapshot

if TYPE_CHECKING:
    from celery import Celery

_PROCESSES = Path("/proc")


def install(app: Celery, root: Path, leaves: Callable[[], bool] = lambda: False) -> None:
    """Add this to the worker that is about to start. The code of the project in `root` is read once it is ready.

    `leaves` says whether it takes no more tasks because another one replaces it.
    """
    said: dict[str, Any] = {"celery": celery.__version__}

    def read() -> None:
        with contextlib.suppress(Exception):  # code that cannot be read is not known
            said["code"] = code_digest(root)

    def begin(**_: object) -> None:
        threading.Thread(target=read, daemon=True, name="digest of the code").start()

    signals.worker_ready.connect(begin, weak=False)
    app.steps["consumer"].add(Introduction)
    control.inspect_command(name="stats")(_adding(STATS.here(), said, leaves))


def _adding(stats: Callable[..., Any], said: dict[str, Any], leaves: Callable[[], bool]) -> Callable[..., Any]:
    def with_more(state: Any, **options: Any) -> Any:
        answer = stats(state, **options)
        with contextlib.suppress(Exception):  # whatever happens, Celery's own answer is sent
            pool = answer.get("pool") or {}
            children = pool.get("processes") or ()
            more = {"memory": memory({os.getpid(), *children}), **_start(state), **_counts(state)}
            answer = {**answer, ADDED: {**said, **more, **({LEAVES: True} if leaves() else {})}}
        return answer

    with_more.__name__, with_more.__doc__ = "stats", stats.__doc__
    return with_more


def _start(state: Any) -> dict[str, float]:
    """Return when the worker started, in seconds since 1970; {} if it is not known. Celery says it in whole seconds of uptime."""
    with contextlib.suppress(Exception):
        return {"since": state.consumer.controller.startup_time.timestamp()}
    return {}


def _counts(state: Any) -> dict[str, int]:
    """Return how many tasks Celery's commands `reserved` and `scheduled` would list; {} if it is not known."""
    with contextlib.suppress(Exception):
        waiting = {*snapshot(reserved_requests)} - {*snapshot(active_requests)}
        later = (entry.entry.args[:1] for entry in state.consumer.timer.schedule.queue)
        scheduled = sum(isinstance(argument, Request) for arguments in later for argument in arguments)
        return {"reserved": len(waiting), "scheduled": scheduled}
    return {}


def memory(processes: Iterable[int]) -> int | None:
    """Return how much memory these processes have, in bytes; what they share counts once. None if the system does not say."""
    sizes = [size for process in processes if (size := _size(process)) is not None]
    return sum(sizes) if sizes else None


def _size(process: int) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (_PROCESSES / str(process) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None


class Introduction(bootsteps.StartStopStep):
    """Gives the worker's name to a connection, after each lost one too."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **options: object) -> None:
        pass

    def start(self, consumer: Any) -> None:
        if consumer.connection.transport.driver_type == "redis":
            _name(consumer.connection.default_channel, consumer.hostname)

    def stop(self, consumer: Any) -> None:
        pass


def _name(channel: Any, worker: str) -> None:
    from redis.exceptions import ResponseError

    from tasktools.brokers.keys import Keys

    with contextlib.suppress(ResponseError):  # its user may not do that
        Keys(channel).client.client_setname(connection_name(worker))
