"""What Celery's pools of greenlets leave open, in one process: a worker's cold stop itself is in tests/e2e."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
from billiard.exceptions import Terminated
from celery import platforms
from greenlet import GreenletExit

from tasktools.worker import green_pools
from tests.support import wait_for


def pool_of(*, green: bool) -> Any:
    """Return a pool of a class of its own, as the code changes the class."""

    class Pool:
        is_green = green
        terminated: list[tuple[Any, ...]] = []

        @staticmethod
        def _make_killable_target(target: Any) -> Any:
            return target

        def terminate_job(self, *words: Any) -> None:
            self.terminated.append((threading.get_ident(), *words))

    return Pool()


def raise_exit() -> None:
    raise GreenletExit


def test_killed_task__is_terminated_and_no_success() -> None:
    pool = pool_of(green=True)
    green_pools.report_terminated(pool)
    assert type(pool)._make_killable_target(lambda: (0, "result", 0.1))() == (0, "result", 0.1)
    failed, info, seconds = type(pool)._make_killable_target(raise_exit)()
    assert failed
    assert isinstance(info.exception.exc, Terminated)
    assert seconds == 0


def test_kill__does_not_hold_up_who_asks_for_it() -> None:
    pool = pool_of(green=True)
    green_pools.report_terminated(pool)
    pool.terminate_job(7, 15)
    wait_for(lambda: pool.terminated)
    [(thread, *words)] = pool.terminated
    assert words == [7, 15]
    assert thread != threading.get_ident()


def test_other_pools__stay_as_they_are() -> None:
    pool = pool_of(green=False)
    green_pools.report_terminated(pool)
    pool.terminate_job(1)
    assert pool.terminated == [(threading.get_ident(), 1)]
    with pytest.raises(GreenletExit):
        pool._make_killable_target(raise_exit)()


@pytest.mark.parametrize(("name", "apart"), [("worker_Cold", True), ("worker_Warm", False)])
def test_handler_of_a_cold_stop__runs_apart(monkeypatch: pytest.MonkeyPatch, name: str, apart: bool) -> None:
    monkeypatch.setattr(platforms, "signals", platforms.signals)
    monkeypatch.setattr(green_pools.monkey, "switches", lambda: True)
    before = signal.getsignal(signal.SIGUSR2)
    ran: list[int] = []

    def handler(*_: Any) -> None:
        ran.append(threading.get_ident())

    handler.__name__ = name
    try:
        green_pools.let_cold_stop_wait()
        platforms.signals["SIGUSR2"] = handler
        signal.raise_signal(signal.SIGUSR2)
        wait_for(lambda: ran)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert (ran[0] != threading.get_ident()) is apart


def test_handlers_of_celery__have_the_names_that_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from celery.apps import worker

    installed: dict[str, Any] = {}
    monkeypatch.setattr(platforms, "signals", installed)
    worker._shutdown_handler(None, sig="SIGQUIT", how="Cold")
    worker._shutdown_handler(None, sig="SIGTERM", how="Warm")
    assert {name: handler.__name__ for name, handler in installed.items()} == {
        "SIGQUIT": "worker_Cold",
        "SIGTERM": "worker_Warm",
    }


def test_ordinary_process__keeps_celerys_signals() -> None:
    before = platforms.signals
    green_pools.let_cold_stop_wait()
    assert platforms.signals is before


def test_grace__is_kept_before_the_worker_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    from celery import Celery

    from tasktools.worker import shutdown
    from tasktools.worker.settlement import Settlement

    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    monkeypatch.setattr("os.kill", lambda *_: None)
    monkeypatch.setattr(shutdown, "CLEANING", 0.01)
    stop = shutdown.Stop(lambda _: None, every_second=False, grace=0.01)
    with Celery("shop", set_as_current=False) as app:
        stop._settlement = Settlement(app, {})
        stop._press(0.01, soft=0.01)
    assert ended == [1]
