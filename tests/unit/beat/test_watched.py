from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import beat_init

from tasktools.beat.watched import gauges, install, role
from tasktools.health.answer import Limits
from tasktools.health.beat_watch import BeatWatch


@pytest.fixture
def watch() -> Iterator[BeatWatch]:
    before = list(beat_init.receivers)
    made = BeatWatch(Limits())
    install(made)
    yield made
    beat_init.receivers[:] = before
    beat_init.sender_receivers_cache.clear()


class Service:
    """Of celery.beat.Service, what the signal's receivers look at."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler


def begun(**scheduler: Any) -> Any:
    """Return the scheduler of a beat that has begun."""
    made = SimpleNamespace(**scheduler)
    beat_init.send(sender=Service(made))
    return made


def test_tick__is_seen_from_its_begin_to_its_end(watch: BeatWatch) -> None:
    seen: list[bool] = []
    scheduler = begun(tick=lambda *words: seen.append(watch._began is not None) or 300)
    assert scheduler.tick("any") == 300
    assert (seen, watch._began) == ([True], None)
    assert watch._due is not None
    assert watch._due - watch.clock() == pytest.approx(300, abs=5)
    assert watch.ready().ok


def test_role__is_that_of_the_lease(watch: BeatWatch) -> None:
    leadership = SimpleNamespace(lease=None, in_charge=False, waits_until=17.0)
    begun(tick=lambda: 0, leadership=leadership).tick()
    assert (watch.role(), watch.waits_until()) == (None, 17.0)
    leadership.lease = "a lease"
    assert role(leadership) == "stands by"
    leadership.in_charge = True
    assert role(leadership) == "is in charge"


def test_gauges__have_a_last_round_when_there_was_one(watch: BeatWatch) -> None:
    def values() -> dict[str, Any]:
        return {each.name: dict(each.values) for each in gauges(watch)}

    assert values()["tasktools_beat_last_round_timestamp_seconds"] == {}
    assert (values()["tasktools_beat_ready"], values()["tasktools_beat_live"]) == ({"": 0.0}, {"": 1.0})
    begun(tick=lambda: 5).tick()
    assert values()["tasktools_beat_last_round_timestamp_seconds"][""] == watch.last_round
    assert 0 <= values()["tasktools_beat_round_age_seconds"][""] < 5
    assert (values()["tasktools_beat_ready"], values()["tasktools_beat_in_charge"]) == ({"": 1.0}, {"": 1.0})
    watch.role = lambda: "stands by"
    assert values()["tasktools_beat_in_charge"] == {"": 0.0}
