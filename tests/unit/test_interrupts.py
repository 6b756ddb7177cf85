from __future__ import annotations

import sys

import pytest

from tasktools.interrupts import end_quietly


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """What the hook that was there before has shown."""
    found: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: found.append(kind))
    return found


def test_end_quietly__of_our_commands_ctrl_c_alone(shown: list[type[BaseException]]) -> None:
    end_quietly(["manage.py", "runworker", "-l", "INFO"])
    for error in (KeyboardInterrupt(), ValueError()):
        sys.excepthook(type(error), error, None)
    assert shown == [ValueError]


@pytest.mark.parametrize(
    "argv", [["manage.py", "migrate"], ["manage.py"], [], ["manage.py", "runworker", "--traceback"], ["x", "../base"]]
)
def test_end_quietly__of_other_commands_nothing(shown: list[type[BaseException]], argv: list[str]) -> None:
    hook = sys.excepthook
    end_quietly(argv)
    assert sys.excepthook is hook
