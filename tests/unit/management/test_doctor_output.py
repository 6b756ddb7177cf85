"""The page of taskdoctor, in a terminal and in a pipe."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from tasktools.doctor.findings import Section, error, ok, warning
from tasktools.management.commands.taskdoctor import Command
from tasktools.management.doctor_output import document, show, summary, text_of

SECTIONS = [
    Section(
        name="broker",
        lines=[
            ok("connected", "redis://me:secret@host/1", seconds=0.0123),
            error("message", "It is full.\x1b[31m", "free memory"),
        ],
    ),
    Section(name="settings", lines=[ok("broker_url", "x" * 90, source="default"), warning("clock", "late", "set it")]),
]


def masked(text: str) -> str:
    return text.replace("secret", "**")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, *, no_color: bool = False) -> str:
    show(Command(stdout=stream), document(SECTIONS, live=True, hide=masked), no_color=no_color)  # type: ignore[arg-type]
    return stream.getvalue()


def test_pipe__plain_lines() -> None:
    assert shown(io.StringIO()).splitlines() == [
        "ok       broker: connected: redis://me:**@host/1 (12.3 ms)",
        r"error    broker: message: It is full.\x1b[31m",
        "         Hint: free memory",
        f"ok       settings: broker_url: {'x' * 90}  [default]",
        "warning  settings: clock: late",
        "         Hint: set it",
    ]


@pytest.mark.parametrize("width", [80, 200])
def test_terminal__a_page_in_sections(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    page = shown(Terminal())
    lines = page.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0] == "Broker"
    assert lines[1].split() == ["ok", "connected", "redis://me:**@host/1", "(12.3", "ms)"]
    assert lines[2].split(maxsplit=2) == ["error", "message", r"It is full.\x1b[31m"]
    assert lines[3].strip() == "Hint: free memory"
    assert lines[4:6] == ["", "Settings"]
    assert ("x" * 90 in page) is (width == 200)
    assert page.replace("\n", "").replace(" ", "").count("x" * 90) == 1


def test_terminal__in_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    assert re.search("\x1b\\[1;31merror", shown(Terminal()))
    assert "\x1b" not in shown(Terminal(), no_color=True)


def test_document__its_status_is_the_worst() -> None:
    def status(*sections: Section) -> Any:
        found = document(sections, live=False, hide=masked)
        return found.status, found.errors, found.warnings, summary(found)

    assert status(*SECTIONS) == ("error", 1, 1, "1 error and 1 warning.")
    assert status(SECTIONS[1], SECTIONS[1]) == ("warning", 0, 2, "2 warnings.")
    assert status(Section(name="a", lines=[ok("b", "c")])) == ("ok", 0, 0, "Nothing is wrong.")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00005, "(0.1 ms)"), (0.0999, "(99.9 ms)"), (0.1, "(100 ms)"), (2, "(2,000 ms)")]
)
def test_time__is_short(seconds: float, text: str) -> None:
    assert text_of(ok("a", "b", seconds=seconds)) == f"b {text}"


def test_document__hides_in_every_part_of_a_line() -> None:
    found = document([Section(name="a", lines=[error("secret", "secret", "secret")])], live=False, hide=masked)
    (line,) = found.sections[0].lines
    assert (line.name, line.text, line.remedy) == ("**", "**", "**")


@pytest.mark.parametrize(
    ("width", "indent"), [(120, "ok       broker_url  "), (80, " " * 9), (76, " " * 9), (75, ""), (67, "")]
)
def test_terminal__a_path_is_not_broken_where_a_line_has_room_for_it(
    monkeypatch: pytest.MonkeyPatch, width: int, indent: str
) -> None:
    """It was broken inside its last word at 80 columns, and could not be copied."""
    url = "redis+socket:///home/somebody/projects/mysite/.tasktools/valkey.sock"[:67]
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    lines = [ok("broker_url", url, source="tasktools: the private Valkey"), ok("timezone", "UTC")]
    screen = Terminal()
    found = document([Section(name="settings", lines=lines)], live=True, hide=masked)
    show(Command(stdout=screen), found, no_color=False)  # type: ignore[arg-type]
    _, first, *more, last = screen.getvalue().splitlines()
    if width == 120:
        assert f"{first}\n".startswith(f"{indent}{url}  [")
    else:
        assert first == "ok       broker_url"
        assert more[0].startswith(f"{indent}{url}")
    assert last == "ok       timezone    UTC"
    assert max(map(len, [first, *more])) <= width
