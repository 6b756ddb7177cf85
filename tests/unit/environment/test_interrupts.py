from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tasktools.environment import interrupts
from tasktools.environment.interrupts import end_quietly, heed_signals


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """What the hook that was there before has shown."""
    found: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: found.append(kind))
    return found


def test_end_quietly__of_our_commands_ctrl_c_and_what_is_explained(shown: list[type[BaseException]]) -> None:
    end_quietly(["manage.py", "runworker", "-l", "INFO"], lambda error: isinstance(error, SyntaxError))
    for error in (KeyboardInterrupt(), SyntaxError(), ValueError()):
        sys.excepthook(type(error), error, None)
    assert shown == [ValueError]


@pytest.mark.parametrize(
    "argv", [["manage.py", "migrate"], ["manage.py"], [], ["manage.py", "runworker", "--traceback"], ["x", "../base"]]
)
def test_end_quietly__of_other_commands_nothing(shown: list[type[BaseException]], argv: list[str]) -> None:
    hook = sys.excepthook
    end_quietly(argv, lambda error: True)
    assert sys.excepthook is hook


@pytest.fixture
def handlers() -> Iterator[None]:
    """Python's own handlers during the test, those that were there after it."""
    before = {signum: signal.signal(signum, signal.SIG_DFL) for signum in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_heed_signals__interrupt_as_ctrl_c_does(signum: int) -> None:
    heed_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signum)


@pytest.mark.usefixtures("handlers")
def test_heed_signals__two_at_once_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    heed_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)  # what the first one has begun goes on
    monkeypatch.setattr(interrupts, "_AT_ONCE", 0)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("handlers")
def test_heed_signals__nohup_stays() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    heed_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
