"""A terminal that takes no output keeps nobody waiting, and stays as it was for the others that write to it."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from tasktools.supervisor.output import Notes, Output, descriptor_of

LINES = b"x" * 99_999 + b"\n"

pytestmark = pytest.mark.usefixtures("no_hang")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal that nobody reads: the end of whoever would, and ours."""
    reader, ours = pty.openpty()
    yield reader, ours
    for descriptor in (reader, ours):
        os.close(descriptor)


def test_output__to_a_terminal_that_nobody_reads_does_not_wait(terminal: tuple[int, int]) -> None:
    reader, ours = terminal
    output = Output(ours)
    for _ in range(30):
        output.write(LINES)
    assert output.full
    assert not output.gone
    assert os.get_blocking(ours)
    output.push(timeout=0.1)
    before = len(output.waiting)
    while len(output.waiting) > before - 10_000:  # somebody reads again
        os.read(reader, 4096)
        output.push()


def test_output__to_a_terminal_that_is_stopped_does_not_wait(terminal: tuple[int, int]) -> None:
    reader, ours = terminal
    output = Output(ours)
    termios.tcflow(ours, termios.TCOOFF)  # Ctrl-S
    output.write(b"one\n")
    assert output.waiting == b"one\n"
    termios.tcflow(ours, termios.TCOON)
    output.push()
    assert os.read(reader, 100) == b"one\r\n"


def test_output__to_a_terminal_that_has_gone(terminal: tuple[int, int]) -> None:
    reader, ours = terminal
    output = Output(ours)
    os.close(os.dup(reader))
    os.dup2(os.open(os.devnull, os.O_RDWR), reader)  # the last reader
    output.write(b"one\n")
    assert output.gone


@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError])
def test_output__to_a_terminal_that_cannot_be_opened_again(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    def refuse(*_: Any) -> int:
        raise error

    monkeypatch.setattr(os, "open", refuse)
    output = Output(terminal[1])
    assert output.descriptor == terminal[1]


def test_notes__whole_lines_in_their_colour(terminal: tuple[int, int]) -> None:
    reader, ours = terminal
    notes = Notes(ours, color=True)
    notes("stopping web")
    assert os.read(reader, 100) == b"\x1b[36mstopping web\x1b[0m\r\n"


def test_descriptor_of__a_stream_that_was_closed_takes_all_and_keeps_nothing() -> None:
    output = Output(descriptor_of(None))
    output.write(b"one\n")
    assert (output.waiting, output.gone) == (b"", False)
    os.close(output.descriptor)
