from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasktools.results import revocable as module
from tasktools.results.locate import Located
from tasktools.results.revocable import Target, find


@pytest.mark.parametrize(
    ("place", "worker", "shown"),
    [
        ("active", "w@h", "running"),
        ("ready", "w@h", "reserved"),
        ("reserved", "w@h", "reserved"),
        ("reserved", None, "taken"),
        ("scheduled", "w@h", "scheduled"),
        ("queued", None, "queued"),
        ("revoked", "w@h", "revoked"),
        ("none", None, "none"),
        ("silent", None, "silent"),
        ("unknown", None, "unknown"),
        (None, None, "none"),
    ],
)
def test_find__where_a_task_is(
    monkeypatch: pytest.MonkeyPatch, place: str | None, worker: str | None, shown: str
) -> None:
    def places(app: Any, outcomes: Any, *, limit: float) -> Located:
        assert limit == 0.5
        return Located(outcomes=[replace(each, place=place, worker=worker, queue="q", task="t") for each in outcomes])

    monkeypatch.setattr(module, "places", places)
    found = find(None, ["1"], 0.5)  # type: ignore[arg-type]
    assert found == [Target(id="1", place=shown, worker=worker, queue="q", task="t")]
