"""Count what becomes of a worker's tasks, in its main process: for that, their callbacks of the pool are wrapped."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from billiard.exceptions import Terminated
from celery import signals
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.time import maybe_iso8601

from tasktools.celery_compat import POOL_APPLY
from tasktools.health.tally import Tally
from tasktools.publishing.sent_time import TIMESTAMP
from tasktools.worker.pool_options import request_of

if TYPE_CHECKING:
    from tasktools.worker.protocols import Pool

_STATES = ((Retry, "retried"), (Ignore, "ignored"), (Reject, "rejected"), (Terminated, "revoked"))


def counting(pool: Pool, tally: Tally) -> None:
    """Count each task that the pool gets. Celery's requests keep a reference to `apply_async`: call this before."""
    _count_the_rest(tally)

    def wrapper(apply_async: Callable[..., object]) -> Callable[..., object]:
        def apply_counted(target: Callable[..., object], *args: object, **options: Any) -> object:
            request = request_of(options)
            if request is not None:
                options = _Counted(request, tally).around(options)
            return apply_async(target, *args, **options)

        return apply_counted

    POOL_APPLY.wrap(pool, wrapper)


def _count_the_rest(tally: Tally) -> None:
    """Count what never reaches the pool."""
    signals.task_received.connect(lambda request, **_: tally.count(request.name, "received"), weak=False)
    signals.task_unknown.connect(lambda name, **_: tally.count(name, "unregistered"), weak=False)
    signals.task_rejected.connect(lambda **_: tally.count(None, "undecodable"), weak=False)

    def revoked(request: Any, terminated: bool = False, **_: object) -> None:
        if not terminated:  # one that ran ends in a callback
            tally.count(request.name, "revoked")

    signals.task_revoked.connect(revoked, weak=False)


class _Counted:
    """One task in the pool; it ends once, although more than one callback may say so."""

    def __init__(self, request: Any, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._began: float | None = None
        self._has_ended = False

    def around(self, options: dict[str, Any]) -> dict[str, Any]:
        wrapped: dict[str, Callable[..., None]] = {
            "accept_callback": self._accepted,
            "callback": self._returned,
            "error_callback": self._failed,
            "timeout_callback": self._timed_out,
        }
        named = {name: (options.get(name), note) for name, note in wrapped.items()}
        return {**options, **{name: after(note, call) for name, (call, note) in named.items() if call is not None}}

    def _accepted(self, *_: object, **__: object) -> None:
        self._began = time.monotonic()
        self._tally.count(self._request.name, "started")
        since = runnable_since(self._request)
        if since is not None:
            self._tally.waited(self._request.name, time.time() - since)

    def _returned(self, outcome: Any, **_: object) -> None:
        failed, value, _runtime = outcome
        self._end(state_of(value.exception) if failed else "succeeded")

    def _failed(self, info: Any, *_: object, **__: object) -> None:
        self._end(state_of(info.exception))

    def _timed_out(self, soft: bool, *_: object, **__: object) -> None:
        if not soft:
            self._end("failed")

    def _end(self, state: str) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._tally.count(self._request.name, state)
        if self._began is not None:
            self._tally.ran(self._request.name, time.monotonic() - self._began)


def after(note: Callable[..., None], call: Callable[..., object]) -> Callable[..., object]:
    """Return a callback that notes first. Nothing that goes wrong in that reaches the worker."""

    @functools.wraps(call)  # request_of looks for the request in it
    def noted(*args: object, **options: object) -> object:
        with contextlib.suppress(Exception):
            note(*args, **options)
        return call(*args, **options)

    return noted


def state_of(error: BaseException) -> str:
    """Return what a task that has raised this is counted as."""
    error = getattr(error, "exc", error) if type(error).__name__ == "ExceptionWithTraceback" else error
    return next((state for kind, state in _STATES if isinstance(error, kind)), "failed")


def runnable_since(request: Any) -> float | None:
    """Return since when a task could run, in seconds since the epoch; None if its message does not say when it was sent."""
    sent = request.message.properties.get(TIMESTAMP)
    if isinstance(sent, datetime):  # AMQP's own type of it
        sent = sent.replace(tzinfo=sent.tzinfo or timezone.utc).timestamp()
    if not isinstance(sent, (int, float)):
        return None
    eta = request.message.headers.get("eta")
    time_of = maybe_iso8601(eta) if isinstance(eta, str) else None
    if time_of is None:
        return float(sent)
    return max(float(sent), time_of.replace(tzinfo=time_of.tzinfo or timezone.utc).timestamp())
