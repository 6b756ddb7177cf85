from __future__ import annotations

from typing import Any

import pytest

from tasktools.control import held
from tasktools.control.answers import Answers


def test_names__of_all_that_workers_have(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, dict[str, Any]] = {
        "a@h": {
            "active": [{"id": "1", "name": "add"}],
            "scheduled": [{"eta": "x", "request": {"id": "2", "name": "pay"}}],
        },
        "b@h": {
            "reserved": [{"id": "3", "name": "mail"}, {"id": "4"}, {"name": "x"}, None, {"request": 1}],
            "active": {},
        },
    }
    answers = Answers(said=said, failed={}, listening=2, silent=0)
    monkeypatch.setattr(held, "ask", lambda app, commands: answers)
    assert held.names_held(None) == {"1": "add", "2": "pay", "3": "mail"}  # type: ignore[arg-type]
