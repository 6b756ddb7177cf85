from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import tasktools
from tasktools import terminal
from tasktools.supervisor.output import Notes
from tests.hostile import HOSTILE, active, forged

PACKAGE = Path(tasktools.__file__).parent

EVERY = "".join(map(chr, range(sys.maxunicode + 1)))


def test_hostile__is_seen_to_be_so() -> None:
    assert len(active(HOSTILE)) > 10
    assert len(forged(HOSTILE)) == 2


def test_line__leaves_nothing_that_a_terminal_obeys() -> None:
    line = terminal.line(EVERY)
    assert active(line) == []
    assert "\n" not in line
    assert "\t" not in line


def test_block__leaves_line_feeds_and_tabs_alone() -> None:
    block = terminal.block(EVERY)
    assert active(block) == []
    assert (block.count("\n"), block.count("\t")) == (1, 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("caf\udce9.py", "caf\\udce9.py"),
        ("grün ☃ 👩\u200d🔬 עברית", "grün ☃ 👩\u200d🔬 עברית"),
        ("C:\\new", "C:\\new"),
    ],
)
def test_line__shows_escapes(text: str, shown: str) -> None:
    assert terminal.line(text) == shown


def test_line__twice_is_once() -> None:
    assert terminal.line(terminal.line(HOSTILE)) == terminal.line(HOSTILE)


def test_block__lines_of_windows_end_as_others() -> None:
    assert terminal.block("one\r\ntwo\rthree\n") == "one\ntwo\\rthree\n"


def test_json__has_the_same_value() -> None:
    apart = EVERY.replace("\udbff", "\udbff ")  # or the two halves of a character would be one
    written = terminal.json(json.dumps(apart, ensure_ascii=False))
    assert active(written) == []
    assert json.loads(written) == apart


@pytest.mark.parametrize("name", [HOSTILE, "caf\udce9.py"])
def test_supervisor__says_whole_lines_whatever_a_file_is_called(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    Notes(2, color=False)(f"reload: {name} changed, reloading")
    said = capfd.readouterr().err
    assert active(said) == []
    assert said.count("\n") == 1


def test_supervisor__keeps_its_colour(capfd: pytest.CaptureFixture[str]) -> None:
    Notes(2, color=True)("reload: \x1b[0m")
    assert capfd.readouterr().err == "\x1b[36mreload: \\x1b[0m\x1b[0m\n"


def test_commands__write_to_a_person_in_one_place_alone() -> None:
    """Everything else goes through note, note_block, print_line, print_value, print_json and print_table."""
    writes = re.compile(r"\.(stdout|stderr)\.write\(|\bprint\(|\bprint_exc\(")
    rooms = (PACKAGE / "management").rglob("*.py")
    found = {file.name for file in rooms if writes.search(file.read_text())}
    # The words of completion are what no shell would have to quote, and streams prints --help, which is our own text.
    assert found == {"base.py", "completion.py", "printing.py", "streams.py"}
