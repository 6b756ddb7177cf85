from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasktools.environment import interrupts
from tasktools.environment.interrupts import end_quietly, heed_signals, postponed


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
    monkeypatch.setattr(interrupts, "_AT_ONCE", 600)
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


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Short times, and the codes with which the process would have ended."""
    codes: list[int] = []
    monkeypatch.setattr(interrupts, "_AT_ONCE", 0.1)
    monkeypatch.setattr(interrupts, "_GRACE", 0.05)
    monkeypatch.setattr(interrupts, "_leave", codes.append)
    return codes


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_postponed__a_second_signal_interrupts(
    at_once: list[int], signum: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "_AT_ONCE", 600)
    monkeypatch.setattr(interrupts, "_GRACE", 60)
    noted: list[bool] = []
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with postponed(lambda: noted.append(True)):
        signal.raise_signal(signum)
        signal.raise_signal(signum)  # a supervisor and the terminal: the same wish
        assert noted == [True]
        monkeypatch.setattr(interrupts, "_AT_ONCE", 0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signum)
    assert (noted, at_once) == ([True], [])
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.usefixtures("handlers")
def test_postponed__a_driver_that_blocks_is_given_up(at_once: list[int], tmp_path: Path) -> None:
    """Python's handlers do not run while SQLite waits for a lock."""
    first, second = (
        sqlite3.connect(tmp_path / "x", timeout=60, isolation_level=None, check_same_thread=False) for _ in range(2)
    )
    first.execute("BEGIN IMMEDIATE")
    noted: list[str] = []

    blocks = threading.Event()

    def send() -> None:
        blocks.wait(60)
        for _ in range(400):  # until one of them comes late enough after the first
            if not at_once:
                os.kill(os.getpid(), signal.SIGTERM)
                threading.Event().wait(0.12)
        first.execute("ROLLBACK")

    thread = threading.Thread(target=send)
    with postponed(lambda: noted.append("noted"), give_up=lambda: noted.append("given up")):
        thread.start()
        with contextlib.suppress(KeyboardInterrupt):
            blocks.set()
            second.execute("BEGIN IMMEDIATE")
        thread.join()
    first.close()
    second.close()
    assert "given up" in noted
    assert set(at_once) == {130}  # each time, as it does not end here


@pytest.mark.usefixtures("handlers")
def test_postponed__after_its_end_no_signal_gives_up(at_once: list[int]) -> None:
    noted: list[str] = []
    with postponed(lambda: noted.append("noted"), give_up=lambda: noted.append("given up")):
        signal.raise_signal(signal.SIGTERM)
    threading.Event().wait(0.2)
    assert (noted, at_once) == (["noted"], [])
