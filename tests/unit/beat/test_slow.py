"""What takes longer than the lease: two beats must not keep each other from sending."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from celery.schedules import schedule

from tasktools.beat.scheduler import Scheduler
from tasktools.brokers.redis_lease import RedisLease
from tasktools.brokers.transactions import Overtaken
from tasktools.project import BeatPlan, Project
from tests.support import LIMIT
from tests.unit.beat.conftest import Beats, every

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

Make = Callable[..., Beats]
Forward = Callable[[float], None]


def test_work_that_outlasts_the_lease__lengthens_the_next_one(
    beats: Make, forward: Forward, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if another beat has overtaken it meanwhile: two beats overtook each other for ever."""
    project.beat = BeatPlan(lease=0.5)
    site = beats({"a": every(60, "a")})
    beat = site.start()
    site.go(beat)
    held: list[float] = []
    hold = RedisLease.hold

    def note(self: RedisLease, text: str, seconds: float) -> Any:
        held.append(seconds)
        return hold(self, text, seconds)

    def outlast(ticks: Any) -> None:
        time.sleep(0.3)
        raise Overtaken("Another beat is in charge.")

    monkeypatch.setattr(RedisLease, "hold", note)
    with monkeypatch.context() as slow:
        slow.setattr(beat.ledger, "send", outlast)
        forward(61)
        beat.tick()
    site.go(beat)
    assert held[-1] >= 0.8
    assert site.sent() == ["a"]


class NeverDue(schedule):
    """Is not due, says that it is in 0 s, and takes its time for that."""

    asked = 0

    def is_due(self, last_run_at: Any) -> tuple[bool, float]:
        type(self).asked += 1
        time.sleep(0.006)
        return False, 0.0


def test_schedules_that_are_never_due__are_asked_once_a_round(beats: Make, forward: Forward) -> None:
    site = beats({name: {"task": "shop.add", "schedule": NeverDue(1)} for name in "abc"} | {"one": every(60)})
    beat = site.start()
    for _ in range(3):
        beat.tick()
    NeverDue.asked = 0
    forward(61)
    beat.tick()
    assert NeverDue.asked <= 3
    assert site.sent() == ["one"]


def test_entries_of_one_moment__leave_in_one_transaction(
    beats: Make, forward: Forward, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = beats({str(n): every(1, str(n), schedule=schedule(1, relative=True)) for n in range(50)})
    beat = site.start()
    site.go(beat)
    sizes: list[int] = []
    send = beat.ledger.send
    monkeypatch.setattr(beat.ledger, "send", lambda ticks: (sizes.append(len(ticks)), send(ticks))[1])
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        time.sleep(max(0.0, min(beat.tick(), 0.2)))
    assert sizes
    assert sum(sizes) % 50 == 0
    assert len(sizes) <= 5  # two rounds or three; a machine that is busy may divide one of them


def test_entry_that_is_replaced_while_it_runs__is_the_one_that_is_sent(beats: Make, forward: Forward) -> None:
    site = beats({"a": every(60, "old")})
    beat = site.start()
    site.go(beat)
    beat.schedule["a"] = beat.Entry(**every(60, "new"), name="a", app=site.app)
    forward(61)
    site.go(beat)
    forward(61)
    site.go(beat)
    assert "new" in site.sent()
    assert "old" not in site.sent()


def test_name_that_no_encoding_has__is_an_entry_as_any(beats: Make, forward: Forward) -> None:
    site = beats({"\ud800": every(60, "a"), "b": every(60, "b")})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["a", "b"]


class Slow(schedule):
    """Takes its time to say whether it is due."""

    seconds = 0.0

    def is_due(self, last_run_at: Any) -> Any:
        time.sleep(self.seconds)
        return super().is_due(last_run_at)


def test_schedule_that_answers_slowly__two_beats_do_not_take_the_lease_from_each_other(
    beats: Make, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lost it while it asked the schedule, and nothing was ever sent."""
    monkeypatch.setattr(Slow, "seconds", 0.3)
    monkeypatch.setattr(RedisLease, "wait", lambda self, text, seconds: time.sleep(0.01))
    project.beat = BeatPlan(lease=0.2)
    site = beats({"slow": {"task": "shop.add", "schedule": Slow(0.5), "args": ["slow"]}, "good": every(0.3, "good")})
    deadline = time.monotonic() + LIMIT

    def run(beat: Scheduler) -> None:
        while site.sent().count("good") < 3 and time.monotonic() < deadline:
            time.sleep(min(beat.tick(), 0.1))

    threads = [Thread(target=run, args=(site.start(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.sent().count("good") >= 3


def test_many_schedules__the_lease_is_kept_while_they_are_asked(
    beats: Make, project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Slow, "seconds", 0.03)
    project.beat = BeatPlan(lease=1.0)
    site = beats({str(n): {"task": "shop.add", "schedule": Slow(3600)} for n in range(30)})
    beat = site.start()
    begin = beat._begin
    monkeypatch.setattr(beat, "_begin", lambda name, kept: (time.sleep(0.03), begin(name, kept))[1])
    site.go(beat)
    assert caplog.messages == []
    assert beat.leadership.lease is not None
    assert beat.leadership.lease.terms == 1
    assert beat.leadership.busy < 0.15


def test_round__looks_at_the_lease_between_two_calls_of_the_project_s_code(
    beats: Make, forward: Forward, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = beats({"a": every(60), "b": every(60)})
    beat = site.start()
    did: list[str] = []

    def note(what: str, owner: Any, name: str) -> None:
        call = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, **options: (did.append(what), call(*args, **options))[1])

    note("|", beat.leadership, "keep")
    note("ask", beat.answers, "ask")
    note("apply", beat, "apply_entry")
    note("send", beat.ledger, "send")
    site.go(beat)
    assert " ".join(did) == "| | | ask | ask"
    did.clear()
    forward(61)
    site.go(beat)
    assert " ".join(did) == "| ask | ask | apply | apply | send | ask | ask"
