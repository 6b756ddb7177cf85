"""The lease around a scheduler that the project has chosen."""

from __future__ import annotations

import dbm
import shelve
import signal
import time
from collections.abc import Callable
from dbm import dumb
from pathlib import Path
from typing import Any

import celery.beat
import pytest
from redis.exceptions import NoPermissionError

from tasktools.beat import guarded as module
from tasktools.beat.guarded import AGAIN, Guarded
from tasktools.beat.leadership import FORGOTTEN
from tasktools.brokers.file_lease import FileLease
from tasktools.brokers.lease import Holder, Lease
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.project import BeatPlan, Project


class Chosen(celery.beat.Scheduler):
    """A scheduler that notes what happens to it."""

    made: list[Chosen] = []

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ticks, self.closed = 0, False
        self.error: BaseException | None = None
        Chosen.made.append(self)

    def tick(self, *args: Any, **options: Any) -> float:
        self.ticks += 1
        if self.error:
            raise self.error
        return 0.25

    def close(self) -> None:
        self.closed = True


class Plain(Lease):
    """A lease that the test gives and takes."""

    def __init__(self) -> None:
        self.other: Holder | None = None
        self.error: Exception | None = None
        self.given_up = self.is_closed = False
        self.waits = 0

    def hold(self, text: str, seconds: float) -> Holder | None:
        if self.error:
            raise self.error
        if self.other is None and not self.terms:
            self.terms = 1
        return self.other

    def give_up(self, text: str) -> None:
        self.given_up = True

    def wait(self, text: str, seconds: float) -> None:
        self.waits += 1

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> Plain:
    made = Plain()
    monkeypatch.setattr(module, "lease_for", lambda app, token: made)
    return made


@pytest.fixture
def guarded(app: Any, lease: Plain, project: Project, tmp_path: Path) -> Callable[..., Any]:
    Chosen.made = []

    def make(chosen: str = f"{__name__}:Chosen", **plan: Any) -> Any:
        project.beat = BeatPlan(scheduler=chosen, **plan)
        return module.scheduler(app, schedule_filename=str(tmp_path / "beat"))

    return make


def test_in_charge__its_ticks_are_the_chosen_scheduler_s(guarded: Any) -> None:
    beat: Guarded = guarded()
    [inner] = Chosen.made
    assert beat.schedule is inner.schedule  # as a receiver of beat_init may ask
    assert [beat.tick(), beat.tick()] == [0.25, 0.25]
    assert (inner.ticks, inner.sync_every_tasks) == (2, 1)
    beat.close()
    assert inner.closed


def test_standing_by__no_scheduler_is_made(guarded: Any, lease: Plain) -> None:
    lease.other = Holder(text="", seconds=1)
    beat: Guarded = guarded()
    assert beat.tick() == 0
    assert Chosen.made == []
    assert lease.waits
    with pytest.raises(AttributeError, match="stands by, and has no schedule"):
        beat.schedule  # noqa: B018
    assert beat.max_interval == 300
    assert not beat.should_sync()


def test_lease_that_was_lost_in_between__the_scheduler_is_made_anew(guarded: Any, lease: Plain) -> None:
    beat: Guarded = guarded()
    beat.tick()
    lease.terms = 2
    beat.leadership.ask_again()
    assert beat.tick() == 0
    assert [each.ticks for each in Chosen.made] == [1, 0]
    beat.tick()
    assert [each.ticks for each in Chosen.made] == [1, 1]


def test_start_that_outlasts_the_lease__nothing_is_sent_before_another_look(guarded: Any, lease: Plain) -> None:
    beat: Guarded = guarded()
    lease.other = Holder(text="", seconds=1)
    assert beat.tick() == 0
    assert [each.ticks for each in Chosen.made] == [0]
    assert beat.inner is None


def test_start_that_is_slow__lengthens_the_lease(guarded: Any, lease: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    hold = lease.hold
    monkeypatch.setattr(lease, "hold", lambda text, seconds: (asked.append(seconds), hold(text, seconds))[1])
    make = Chosen.__init__
    monkeypatch.setattr(Chosen, "__init__", lambda self, *a, **o: (time.sleep(0.3), make(self, *a, **o))[1])
    beat: Guarded = guarded(lease=0.5)
    beat.tick()
    assert asked[0] == 0.5
    assert asked[1] >= 0.9


@pytest.mark.parametrize(("interval", "left"), [(0, FORGOTTEN), (0.25, 1)], ids=["sends", "sends nothing"])
def test_tick_that_was_slow__is_forgotten_when_others_send(
    guarded: Any, monkeypatch: pytest.MonkeyPatch, interval: float, left: float
) -> None:
    beat: Guarded = guarded()
    beat.leadership.busy = 5.0
    monkeypatch.setattr(Chosen, "tick", lambda self: interval)
    beat.tick()
    assert beat.leadership.busy == 5.0 * left


def test_no_schedule__is_an_empty_one(guarded: Any, app: Any) -> None:
    app.conf.beat_schedule = None
    guarded()
    assert app.conf.beat_schedule == {}
    assert Chosen.made


def test_broker_that_is_away__beat_stays(guarded: Any, lease: Plain) -> None:
    beat: Guarded = guarded()
    lease.error = Unreachable("It is away.")
    beat.leadership.ask_again()
    assert beat.tick() == AGAIN
    assert lease.is_closed
    lease.error = None
    beat.tick()
    assert beat.tick() == 0.25


@pytest.mark.parametrize("error", [ConnectionError("gone"), TimeoutError("silent")])
def test_tick_that_finds_the_broker_away__beat_stays(guarded: Any, error: Exception) -> None:
    beat: Guarded = guarded()
    Chosen.made[0].error = error
    assert beat.tick() == AGAIN


def test_tick_that_fails__ends_beat_as_with_celery(guarded: Any) -> None:
    beat: Guarded = guarded()
    Chosen.made[0].error = OSError("no space left")
    with pytest.raises(OSError, match="no space left"):
        beat.tick()


def test_schedule_that_exits__ends_beat_as_with_celery_and_is_reported(
    guarded: Any, caplog: pytest.LogCaptureFixture
) -> None:
    beat: Guarded = guarded()
    Chosen.made[0].error = SystemExit(0)
    with pytest.raises(SystemExit):
        beat.tick()
    assert caplog.messages == ["beat: code that the scheduler calls ends beat: SystemExit: 0"]


def test_signal_in_a_tick__is_no_fault(
    guarded: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat: Guarded = guarded()
    monkeypatch.setattr(Chosen, "tick", lambda self: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        beat.tick()
    assert caplog.messages == []


def test_tick_that_fails_after_the_lease__is_not_the_end(guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another beat may have written the file meanwhile."""
    beat: Guarded = guarded(lease=0.5)

    def slow(self: Any) -> float:
        time.sleep(0.6)
        raise dbm.error[0]("pickle data was truncated")

    monkeypatch.setattr(Chosen, "tick", slow)
    assert beat.tick() == AGAIN


@pytest.mark.parametrize("error", [ConfigurationError("no lease"), NoPermissionError("no key")])
def test_user_without_permission__gets_a_lock_of_this_machine(
    guarded: Any, lease: Plain, tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    lease.error = error
    path = tmp_path / "place" / "beat.lock"
    beat: Guarded = guarded(lock=str(path))
    assert beat.tick() == 0.25
    assert path.exists()
    assert lease.is_closed
    assert "beat: one beat at a time on this machine only: the broker's user gets no lease" in caplog.text
    other = FileLease(str(path))
    assert other.hold("other", 1) is not None
    beat.close()
    assert other.hold("other", 1) is None
    other.close()


def test_lock_that_becomes_unusable__is_not_called_the_broker(
    guarded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock = tmp_path / "beat.lock"
    monkeypatch.setattr(module, "lease_for", lambda app, token: FileLease(str(lock)))
    beat: Guarded = guarded(lock=str(lock))
    assert beat.tick() == 0.25
    lock.unlink()
    lock.mkdir()
    beat.leadership.ask_again()
    assert beat.tick() == AGAIN
    lock.rmdir()
    assert beat.tick() == 0
    assert beat.tick() == 0.25
    assert [each for each in caplog.messages if "lock" in each or "goes on" in each] == [
        f'beat: Beat cannot keep other beats out: the lock "{lock}" cannot be used: Is a directory. '
        "Hint: remove that file, or name another schedule with --schedule",
        "beat: goes on.",
    ]
    beat.close()


def test_damaged_file__is_set_aside_and_beat_goes_on(
    guarded: Any, lease: Plain, tmp_path: Path, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A beat that was killed while it wrote its file did not start again."""
    with dumb.open(str(tmp_path / "beat"), "c") as store:
        store["entries"] = b""
    made: Any = module.made(celery.beat.PersistentScheduler, app, schedule_filename=str(tmp_path / "beat"))
    assert made.schedule is not None
    made.close()
    names = {each.name for each in tmp_path.iterdir()}
    assert {"beat.damaged.dat", "beat.damaged.dir"} <= names
    [said] = [each for each in caplog.messages if "damaged" in each]
    assert said == (
        f'beat: the schedule "{tmp_path}/beat" cannot be read, and is now at "{tmp_path}/beat.damaged": '
        "all entries start as new ones: EOFError: Ran out of input."
    )
    again: Any = module.made(celery.beat.PersistentScheduler, app, schedule_filename=str(tmp_path / "beat"))
    again.close()


def test_scheduler_that_cannot_be_made__its_file_stays(tmp_path: Path, app: Any) -> None:
    class Failing(celery.beat.PersistentScheduler):
        def setup_schedule(self) -> None:
            super().setup_schedule()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        module.made(Failing, app, schedule_filename=str(tmp_path / "beat"))
    assert not [each for each in tmp_path.iterdir() if "damaged" in each.name]
    with pytest.raises(RuntimeError):
        module.made(lambda app: Failing(app, schedule_filename=str(tmp_path / "beat")), app)


def test_file_of_a_lost_lease__is_not_overwritten(guarded: Any, lease: Plain, tmp_path: Path, app: Any) -> None:
    """The shelf writes its cache when it is collected."""
    path = str(tmp_path / "beat")
    beat: Guarded = guarded("celery.beat:PersistentScheduler")
    beat.inner = celery.beat.PersistentScheduler(app=app, schedule_filename=path)
    beat.inner._store["entries"]["mine"] = "old"
    beat._forget()
    with shelve.open(path) as store:
        assert "mine" not in store["entries"]
