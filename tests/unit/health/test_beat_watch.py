from __future__ import annotations

import pytest

from tasktools.health.answer import Limits
from tasktools.health.beat_watch import BeatWatch


class Beat:
    """A beat that is watched, in a time that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.role: str | None = "is in charge"
        self.watch = BeatWatch(Limits(), clock=lambda: self.now)
        self.watch.role = lambda: self.role

    def round(self, lasts: float = 0.0, interval: float = 5.0) -> None:
        self.watch.begin_round()
        self.now += lasts
        self.watch.end_round(interval)


@pytest.fixture
def beat() -> Beat:
    return Beat()


def test_starting__is_alive_and_not_ready(beat: Beat) -> None:
    beat.now += 3600
    assert (beat.watch.live().ok, beat.watch.ready().ok) == (True, False)


def test_rounds__the_next_one_may_be_late_up_to_the_limit(beat: Beat) -> None:
    beat.round(interval=300)
    assert beat.watch.ready().ok
    beat.now += 320
    assert beat.watch.live().ok
    beat.now += 1
    assert beat.watch.live().reason == "its next round is due since 21 s"
    assert (beat.watch.live().ok, beat.watch.ready().ok) == (False, False)
    beat.round()
    assert beat.watch.live().ok
    assert beat.watch.lag == 21


def test_round__may_last_for_some_time(beat: Beat) -> None:
    beat.watch.begin_round()
    beat.now += 60
    assert beat.watch.live().ok
    beat.now += 1
    assert beat.watch.live().reason == "this round has lasted 61 s"
    assert not beat.watch.live().ok


def test_standby__may_wait_as_long_as_the_lease_of_the_other(beat: Beat) -> None:
    beat.watch.waits_until = lambda: 1600.0
    beat.role = "stands by"
    beat.round()
    beat.watch.begin_round()
    beat.now = 1660.0
    assert (beat.watch.live().ok, beat.watch.ready().reason) == (True, "stands by")
    beat.now = 1661.0
    assert not beat.watch.live().ok


def test_ready__not_without_the_lease(beat: Beat) -> None:
    beat.round()
    beat.role = None
    assert beat.watch.live() == beat.watch.live().__class__(True, "waits for the broker")
    assert (beat.watch.ready().ok, beat.watch.ready().reason) == (False, "does not reach its lease")


def test_ready__of_a_scheduler_without_a_lease(beat: Beat) -> None:
    beat.role = ""
    beat.round()
    assert (beat.watch.ready().ok, beat.watch.ready().reason) == (True, "sends")


def test_forgiven__what_did_not_happen_while_the_process_stood_still(beat: Beat) -> None:
    beat.round()
    beat.now += 600
    beat.watch.forgive()
    assert beat.watch.live().ok
    beat.watch.begin_round()
    beat.now += 600
    beat.watch.forgive()
    assert beat.watch.live().ok
