from __future__ import annotations

import contextvars
import signal
import threading
import time

import pytest

from tasktools.brokers.timeouts import TimedOut, within, within_thread
from tests.support import wait_for


def test_within__returns_what_the_call_returns() -> None:
    assert within(30, divmod, 7, 2) == (3, 1)


def test_within__raises_what_the_call_raises() -> None:
    with pytest.raises(ZeroDivisionError, match="integer division or modulo by zero"):
        within(30, divmod, 7, 0)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_within__raises_what_is_no_exception_too(kind: type[BaseException]) -> None:
    def end() -> None:
        raise kind

    with pytest.raises(kind):
        within(30, end)


def test_within_thread__a_call_that_hangs_times_out_and_goes_on_in_a_daemon_thread() -> None:
    released, seen = threading.Event(), []

    def hang() -> None:
        seen.append(threading.current_thread())
        released.wait(30)

    with pytest.raises(TimedOut):
        within_thread(0.05, hang)
    (thread,) = seen
    assert thread.is_alive()
    assert thread.daemon
    assert thread is not threading.current_thread()
    released.set()
    thread.join(30)
    assert not thread.is_alive()


def test_within__a_call_that_hangs_is_interrupted_in_its_own_thread() -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut):
        within(0.05, time.sleep, 60)
    assert time.monotonic() - began < 30
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_within__leaves_an_alarm_of_the_caller_alone() -> None:
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        assert within(30, lambda: wait_for(lambda: rang)) == [True]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_within__beside_the_main_thread_runs_in_another() -> None:
    names = within_thread(30, within, 30, lambda: threading.current_thread().name)
    assert names == "within 30 s"


def test_within_thread__keeps_the_context() -> None:
    tenant = contextvars.ContextVar("tenant", default="nobody")
    tenant.set("acme")
    assert within_thread(30, tenant.get) == "acme"
