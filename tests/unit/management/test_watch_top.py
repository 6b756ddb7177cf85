"""The table of watchtasks --top, on a terminal of the test's own."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from typing import Any, ClassVar

import pytest
from django.core.management import load_command_class
from rich.console import Console

from tasktools.events.attempts import Attempt
from tasktools.events.watch import Notice, Watch
from tasktools.management import watch_top
from tasktools.management.watch_top import Top


class FakeKeyboard:
    keys: ClassVar[list[str]] = []

    def __enter__(self) -> FakeKeyboard:
        return self

    def __exit__(self, *_: object) -> None:
        self.keys.append("restored")

    def typed(self) -> str:
        return self.keys.pop(0) if self.keys else ""


class FakeLengths(FakeKeyboard):
    known: ClassVar = {"celery": 1_204}

    def __init__(self, app: Any) -> None: ...


def attempt(task: str) -> Attempt:
    known: dict[str, Any] = {"waited": 0.001, "waited_since": "sent", "ran": 0.1, "exception": None}
    return Attempt(at=datetime.now(timezone.utc), task=task, id="id", worker="w", state="SUCCESS", **known)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    made = io.StringIO()
    console = Console(file=made, force_terminal=True, width=80, height=24, color_system=None)
    monkeypatch.setattr(watch_top, "console_of", lambda **_: console)
    monkeypatch.setattr(watch_top, "Keyboard", FakeKeyboard)
    monkeypatch.setattr(watch_top, "Lengths", FakeLengths)
    monkeypatch.setattr(FakeKeyboard, "keys", [])
    return made


@pytest.fixture
def notes() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def top(screen: io.StringIO, notes: io.StringIO, shop: Any) -> Top:
    from django.core.management.base import OutputWrapper

    command = load_command_class("tasktools", "watchtasks")
    command.stderr = OutputWrapper(notes)
    return Top(command, shop, Watch(shop, enables=False), no_color=True)


def test_top__obeys_keys_and_leaves_the_screen(top: Top, screen: io.StringIO) -> None:
    FakeKeyboard.keys[:] = ["", "t", "T", "q"]
    with top:
        assert [top.show([attempt("add")]) for _ in range(4)] == [True, True, True, False]
    drawn = screen.getvalue()
    assert drawn.index("t task↑") < drawn.index("\x1b[?1049l")
    assert "Queues: celery 1,204" in drawn
    assert (top._sort, top._is_reversed) == ("t", True)
    assert FakeKeyboard.keys == ["restored", "restored"]


def test_top__draws_once_a_second(top: Top, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    with top:
        top._drawn = now = watch_top.time.monotonic()
        monkeypatch.setattr(watch_top.time, "monotonic", lambda: now + 0.9)
        top.show([attempt("add")])
        assert "add" not in screen.getvalue()
        monkeypatch.setattr(watch_top.time, "monotonic", lambda: now + 1.1)
        top.show([])
        assert "add" in screen.getvalue()


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, watch_top.SHOWN),
        ({"is_trouble": True}, watch_top.TROUBLE_SHOWN),
        ({"is_trouble": True, "stays": True}, None),
    ],
)
def test_top__drops_a_notice(
    top: Top, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], seconds: float | None
) -> None:
    now = watch_top.time.monotonic()

    def is_shown(after: float) -> bool:
        screen.truncate(screen.seek(0))
        monkeypatch.setattr(watch_top.time, "monotonic", lambda: now + after)
        top.show([])
        return "in short" in screen.getvalue()

    with top:
        monkeypatch.setattr(watch_top.time, "monotonic", lambda: now)
        top.say(Notice(text="at length", in_short="in short", **fields))
        assert is_shown((seconds or 10_000.0) - 0.5)
        assert is_shown((seconds or 10_000.0) + 5.0) is (seconds is None)


def test_top__repeats_troubles_when_the_screen_has_gone(top: Top, screen: io.StringIO, notes: io.StringIO) -> None:
    with top:
        top.say(Notice(text="Watching."))
        top.say(Notice(text="It refuses.\x1b[2J", is_trouble=True))
        assert notes.getvalue() == ""
    assert "It refuses.\\x1b[2J" in screen.getvalue()
    assert notes.getvalue().strip() == "It refuses.\\x1b[2J"
