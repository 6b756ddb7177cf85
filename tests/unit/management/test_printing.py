"""Sentences for a person: a terminal does not break their words."""

from __future__ import annotations

import io
import sys

import pytest

from tasktools.management.commands.purgequeue import Command
from tasktools.management.printing import words_of

TEXT = "This broker does not say which tasks wait: each message is taken, and what is not to be removed goes back to its place."


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("COLUMNS", "40")
    return Screen()


@pytest.mark.parametrize("as_json", [False, True])
def test_note__of_nothing_writes_nothing(as_json: bool) -> None:
    err = io.StringIO()
    command = Command(stderr=err, no_color=True)
    command.as_json = as_json
    command.note()
    assert err.getvalue() == ""


def test_note_prose__breaks_between_words_in_a_terminal(screen: Screen) -> None:
    Command(stderr=screen, no_color=True).note_prose(f"{TEXT}\x1b[2J")
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines) == f"{TEXT}\\x1b[2J"


def test_note_prose__is_one_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    err = io.StringIO()
    Command(stderr=err, no_color=True).note_prose(TEXT)
    assert err.getvalue() == f"{TEXT}\n"


def test_note_prose__as_json_is_one_object(screen: Screen) -> None:
    command = Command(stderr=screen, no_color=True)
    command.as_json = True
    command.note_prose(TEXT)
    assert screen.getvalue().count("\n") == 1


def test_question__breaks_between_words(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert Command(stderr=screen, no_color=True).ask(f"{TEXT[:80]}?")
    lines = screen.getvalue().splitlines()
    assert (len(lines) > 1, max(map(len, lines)) <= 40, lines[-1].endswith("[y/N] ")) == (True, True, True)


def test_words__that_are_too_long_stay_whole() -> None:
    assert words_of("a " + "x" * 20 + " b", 10) == ["a", "x" * 20, "b"]
    assert words_of("", 10) == [""]


def test_table__names_what_is_not_shown_between_words(screen: Screen) -> None:
    command = Command(stdout=Screen(), stderr=screen, no_color=True)
    names = [f"COLUMN {number}" for number in range(6)]
    command.print_table(("NAME", *names), [["x" * 12] * 7], spare=names)
    lines = screen.getvalue().splitlines()
    assert (len(lines) > 1, max(map(len, lines)) <= 40) == (True, True)
    assert " ".join(lines).startswith("Not shown in 40 columns: COLUMN 0, ")
