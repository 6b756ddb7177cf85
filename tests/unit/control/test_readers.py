from __future__ import annotations

import pytest

from tasktools.control import readers
from tasktools.control.answers import Answers


def test_listeners__are_those_that_take_from_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "b@h": [{"name": "q"}],
        "a@h": [{"name": "p"}, {"name": "q"}],
        "c@h": [{"name": "p"}],
        "d@h": ["q", 5],
        "e@h": 5,
    }
    answers = Answers(
        said={name: {"active_queues": each} for name, each in said.items()}, failed={}, listening=5, silent=0
    )
    monkeypatch.setattr(
        readers.answers, "ask", lambda app, commands, limit: answers if "active_queues" in commands else None
    )
    assert readers.listeners("app", "q") == ["a@h", "b@h"]  # type: ignore[arg-type]
