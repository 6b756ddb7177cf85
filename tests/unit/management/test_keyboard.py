from __future__ import annotations

import io
import os
import pty
import sys
import termios
from collections.abc import Iterator

import pytest

from tasktools.management.keyboard import Keyboard
from tests.support import wait_for


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Make stdin a terminal; yield its other end and its own."""
    other, ours = pty.openpty()
    with open(ours, closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield other, ours
    for each in (other, ours):
        try:
            os.close(each)
        except OSError:
            continue  # the test has closed it


def waits_for_enter(descriptor: int) -> bool:
    return bool(termios.tcgetattr(descriptor)[3] & termios.ICANON)


def test_keyboard__hears_keys_without_enter_and_restores_the_terminal(terminal: tuple[int, int]) -> None:
    other, ours = terminal
    with Keyboard() as keyboard:
        assert not waits_for_enter(ours)
        assert keyboard.typed() == ""
        os.write(other, b"rq")
        assert wait_for(keyboard.typed) == "rq"
        assert keyboard.typed() == ""
    assert waits_for_enter(ours)


def test_keyboard__sets_the_terminal_again_after_a_shell_had_it(terminal: tuple[int, int]) -> None:
    other, ours = terminal
    before = termios.tcgetattr(ours)
    with Keyboard() as keyboard:
        termios.tcsetattr(ours, termios.TCSANOW, before)
        keyboard.typed()
        assert not waits_for_enter(ours)
        os.write(other, b"q")
        assert wait_for(keyboard.typed) == "q"


def test_keyboard__a_terminal_that_has_gone_types_nothing(terminal: tuple[int, int]) -> None:
    other, _ = terminal
    with Keyboard() as keyboard:
        os.close(other)
        assert [keyboard.typed() for _ in range(3)] == ["", "", ""]


def test_keyboard__stdin_that_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("q"))
    with Keyboard() as keyboard:
        assert keyboard.typed() == ""
