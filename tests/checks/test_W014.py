from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from celery.beat import Scheduler
from django.core.checks import run_checks

from tasktools import checks


@pytest.fixture(autouse=True)
def redbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class as RedBeat's: the library may be missing here."""
    module: Any = ModuleType("redbeat")
    module.RedBeatScheduler = type("RedBeatScheduler", (Scheduler,), {"__module__": "redbeat.schedulers"})
    monkeypatch.setitem(sys.modules, "redbeat", module)


def ids(app: Any, **settings: Any) -> list[str]:
    app.conf.update(beat_scheduler="redbeat.RedBeatScheduler", **settings)
    return [message.id for message in run_checks(tags=[checks.TAG])]


def test_W014__fires_for_the_defaults_of_redbeat(shop: Any) -> None:
    shop.conf.beat_scheduler = "redbeat.RedBeatScheduler"
    (message,) = run_checks(tags=[checks.TAG])
    assert message.id == "tasktools.W014"
    assert message.msg == (
        "If the RedBeat in charge is killed, nobody sends anything for up to 1800 s: its lock lasts 1500 s, and one that "
        "stands by looks every 300 s."
    )


@pytest.mark.parametrize(("lock", "look"), [(56, 5), (30, 31)])
def test_W014__fires_for_more_than_a_minute(shop: Any, lock: int, look: int) -> None:
    assert ids(shop, redbeat_lock_timeout=lock, beat_max_loop_interval=look) == ["tasktools.W014"]


@pytest.mark.parametrize(
    "settings",
    [
        {"redbeat_lock_timeout": 55, "beat_max_loop_interval": 5},
        {"REDBEAT_LOCK_TIMEOUT": 5, "beat_max_loop_interval": 1},
        {"beat_max_loop_interval": 10},
        {"redbeat_lock_key": None},
        {"redbeat_lock_timeout": "soon"},
    ],
)
def test_W014__is_silent(shop: Any, settings: dict[str, Any]) -> None:
    assert ids(shop, **settings) == []


def test_W014__is_silent_for_another_scheduler(shop: Any) -> None:
    assert run_checks(tags=[checks.TAG]) == []
