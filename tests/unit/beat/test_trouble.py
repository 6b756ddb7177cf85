from __future__ import annotations

import logging

import pytest

from tasktools.beat import trouble as module
from tasktools.beat.trouble import SILENCE, Trouble
from tasktools.exceptions import Unreachable


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test changes."""
    time = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: time[0])
    return time


def test_report__each_text_once_a_minute(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble()
    for moment in (0.0, 1.0, SILENCE - 1, SILENCE, SILENCE + 1):
        now[0] = 1000 + moment
        trouble.report(Unreachable("It is away.", hint="start it"))
        trouble.report(ValueError("odd\nvalue"), 'the schedule of "x"')
    assert (
        caplog.messages
        == [
            "beat: It is away. Hint: start it",
            'beat: the schedule of "x": ValueError: odd value.',
        ]
        * 2
    )
    assert {each.levelname for each in caplog.records} == {"ERROR"}


def test_over__is_said_if_nothing_was_sent(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble()
    trouble.over()
    trouble.report(ValueError("odd"), "one entry")
    trouble.over()
    assert caplog.messages == ["beat: one entry: ValueError: odd."]
    trouble.report(Unreachable("It is away."))
    trouble.over()
    trouble.over()
    assert caplog.messages[1:] == ["beat: It is away.", "beat: goes on."]
    trouble.report(Unreachable("It is away."))
    assert caplog.messages[3:] == ["beat: It is away."]


def test_report__where_it_was_raised_is_in_the_debug_log(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("odd")
    with caplog.at_level(logging.DEBUG, "celery.beat"):
        Trouble().report(error)
    assert caplog.records[1].exc_info is not None
    assert caplog.records[1].exc_info[1] is error


def test_report__control_characters_do_not_reach_the_terminal(
    now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    Trouble().report(ValueError("\x1b[2J redis://u:secret@host/0"), "x")
    [said] = caplog.messages
    assert "\x1b" not in said
    assert "secret" not in said
