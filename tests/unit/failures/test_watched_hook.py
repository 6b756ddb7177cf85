from __future__ import annotations

import logging
import re
import threading
import time
from typing import Any

import pytest

from tasktools.failures import watched_hook as module
from tasktools.failures.watched_hook import WatchedHook
from tests.support import wait_for


def hidden(task: str, args: Any, kwargs: Any) -> Any:
    """The project's hook; it waits if its first argument is an event."""
    if isinstance(args[0], threading.Event):
        assert args[0].wait(30)
    return args, kwargs


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.WARNING, "tasktools.failures")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(("number", "waiting"), [(1, "1 failed task waits"), (1200, "1,200 failed tasks wait")])
def test_slow__is_said_once_and_so_is_its_end(
    lines: Any, monkeypatch: pytest.MonkeyPatch, number: int, waiting: str
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(module, "SLOW", 0.02)
    monkeypatch.setattr(module, "pause", pause)
    gate = threading.Event()
    watched = WatchedHook(hidden, lambda: number)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(watched("shop.pay", [gate], {})))
    thread.start()
    wait_for(lines)
    said = rf"The masking hook {__name__}\.hidden has run for \d+ s for a call of shop\.pay: {waiting} for it\."
    seen = len(pauses)
    wait_for(lambda: len(pauses) > seen + 3)
    [first] = lines()
    assert re.fullmatch(said, first)
    gate.set()
    thread.join(30)
    assert answers == [([gate], {})]
    [_, last] = lines()
    assert re.fullmatch(rf"The masking hook {__name__}\.hidden has ended after \d+ s: recording goes on\.", last)


def test_slow__the_second_call_is_watched_too(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW", 0.02)
    watched = WatchedHook(hidden, lambda: 0)
    gates = [threading.Event() for _ in range(2)]
    for number, gate in enumerate(gates):
        assert watched("shop.add", [number], {}) == ([number], {})
        thread = threading.Thread(target=watched, args=("shop.pay", [gate], {}))
        thread.start()
        wait_for(lambda number=number: len(lines()) == 2 * number + 1)
        gate.set()
        thread.join(30)
    assert len(lines()) == 4


def test_quick__says_nothing_and_has_one_thread(lines: Any) -> None:
    watched = WatchedHook(hidden, lambda: 0)
    before = threading.active_count()
    for number in range(100):
        watched("shop.add", [number], {})
    assert threading.active_count() == before + 1
    assert lines() == []


def test_error__is_the_callers(lines: Any) -> None:
    def fail(*_: object) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        WatchedHook(fail, lambda: 0)("shop.add", [], {})
