from __future__ import annotations

import threading

import pytest

from tasktools.limits import TimedOut, within


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


def test_within__a_call_that_hangs_times_out_and_goes_on_in_a_daemon_thread() -> None:
    released, seen = threading.Event(), []

    def hang() -> None:
        seen.append(threading.current_thread())
        released.wait(30)

    with pytest.raises(TimedOut):
        within(0.05, hang)
    (thread,) = seen
    assert thread.is_alive()
    assert thread.daemon
    assert thread is not threading.current_thread()
    released.set()
    thread.join(30)
    assert not thread.is_alive()
