"""What becomes of tasks, as it is counted in the worker's main process."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import Terminated, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded
from celery.worker.request import Request

from tasktools.health.tally import Tally
from tasktools.worker import counted
from tasktools.worker.counted import counting, runnable_since, state_of


class Made(Request):
    """Of Celery's request, the callbacks that the pool gets."""

    def __init__(self, **properties: Any) -> None:
        self.called: list[str] = []
        self._message = SimpleNamespace(properties=properties, headers={})
        self._type = "shop.add"

    @property
    def name(self) -> str:
        return "shop.add"

    @property
    def message(self) -> Any:
        return self._message

    def on_accepted(self, *_: Any, **__: Any) -> None:
        self.called.append("accepted")

    def on_success(self, *_: Any, **__: Any) -> None:
        self.called.append("success")

    def on_failure(self, *_: Any, **__: Any) -> None:
        self.called.append("failure")

    def on_timeout(self, *_: Any, **__: Any) -> None:
        self.called.append("timeout")


@pytest.fixture
def tally() -> Tally:
    return Tally({"shop.add"})


@pytest.fixture
def handed(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Hand a request to a pool whose tasks are counted; return the callbacks that the pool has got."""
    monkeypatch.setattr(counted, "_count_the_rest", lambda tally: None)
    pool: Any = SimpleNamespace(apply_async=lambda target, *args, **options: options)
    counting(pool, tally)

    def hand(request: Made) -> dict[str, Any]:
        found: dict[str, Any] = pool.apply_async(
            "a target",
            accept_callback=request.on_accepted,
            timeout_callback=request.on_timeout,
            callback=request.on_success,
            error_callback=request.on_failure,
            timeout=5,
        )
        return found

    return hand


def counts(tally: Tally) -> dict[str, int]:
    return {state: count for (_, state), count in tally.states.items()}


def failed(error: BaseException) -> Any:
    return SimpleNamespace(exception=error)


def test_success__is_counted_with_its_times(handed: Callable[..., dict[str, Any]], tally: Tally) -> None:
    request = Made(timestamp=int(time.time()) - 60)
    callbacks = handed(request)
    assert callbacks["timeout"] == 5
    callbacks["accept_callback"](1, time.monotonic())
    callbacks["callback"]((0, "4", 0.1))
    assert request.called == ["accepted", "success"]
    assert counts(tally) == {"started": 1, "succeeded": 1}
    assert tally.waiting["shop.add"].total == pytest.approx(60, abs=30)
    assert 0 < tally.running["shop.add"].total < 30


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ValueError(), "failed"),
        (WorkerLostError(), "failed"),
        (TimeLimitExceeded(), "failed"),
        (Retry(), "retried"),
        (Ignore(), "ignored"),
        (Reject(), "rejected"),
        (Terminated(15), "revoked"),
    ],
)
def test_error__is_counted_as_what_it_is(
    handed: Callable[..., dict[str, Any]], tally: Tally, error: BaseException, state: str
) -> None:
    handed(Made())["error_callback"](failed(error))
    handed(Made())["callback"]((1, failed(error), 0.1))
    assert counts(tally) == {state: 2}
    assert tally.running == {}  # neither had begun


def test_end__counts_once(handed: Callable[..., dict[str, Any]], tally: Tally) -> None:
    request = Made()
    callbacks = handed(request)
    callbacks["timeout_callback"](True, 1)
    assert counts(tally) == {}
    callbacks["timeout_callback"](False, 2)
    callbacks["error_callback"](failed(TimeLimitExceeded()))
    assert counts(tally) == {"failed": 1}
    assert request.called == ["timeout", "timeout", "failure"]


def test_error__of_the_count_does_not_reach_the_worker(handed: Callable[..., dict[str, Any]]) -> None:
    request = Made()
    handed(request)["callback"]("not three")
    assert request.called == ["success"]


def test_wrapped__exception_is_looked_into() -> None:
    class ExceptionWithTraceback(Exception):
        exc = Retry()

    assert state_of(ExceptionWithTraceback()) == "retried"


SENT = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("properties", "eta", "since"),
    [
        ({}, None, None),
        ({"timestamp": "yesterday"}, None, None),
        ({"timestamp": SENT.timestamp()}, None, SENT),
        ({"timestamp": SENT}, None, SENT),
        ({"timestamp": SENT.replace(tzinfo=None)}, None, SENT),
        ({"timestamp": SENT}, (SENT + timedelta(hours=1)).isoformat(), SENT + timedelta(hours=1)),
        ({"timestamp": SENT}, (SENT - timedelta(hours=1)).isoformat(), SENT),
        ({"timestamp": SENT}, "2030-01-01T01:00:00", SENT + timedelta(hours=1)),
    ],
)
def test_runnable__since_it_was_sent_or_its_eta(
    properties: dict[str, Any], eta: str | None, since: datetime | None
) -> None:
    request = Made(**properties)
    request._message.headers["eta"] = eta
    assert runnable_since(request) == (None if since is None else since.timestamp())


def test_rest__is_counted_by_signals(tally: Tally) -> None:
    from celery import signals

    kinds = (signals.task_received, signals.task_unknown, signals.task_rejected, signals.task_revoked)
    before = [list(each.receivers) for each in kinds]
    try:
        counted._count_the_rest(tally)
        request = SimpleNamespace(name="shop.add")
        signals.task_received.send(sender="consumer", request=request)
        signals.task_unknown.send(sender="consumer", name="nobody.knows", id="1", message=None, exc=None)
        signals.task_rejected.send(sender="consumer", message=None, exc=None)
        signals.task_revoked.send(sender="task", request=request, terminated=False, signum=None, expired=True)
        signals.task_revoked.send(sender="task", request=request, terminated=True, signum=15, expired=False)
    finally:
        for each, receivers in zip(kinds, before, strict=True):
            each.receivers[:] = receivers
            each.sender_receivers_cache.clear()
    assert tally.states == {
        ("shop.add", "received"): 1,
        ("unknown", "unregistered"): 1,
        ("unknown", "undecodable"): 1,
        ("shop.add", "revoked"): 1,
    }
