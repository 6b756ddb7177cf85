from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.beat import Scheduler

from tasktools.beat import shutdown
from tasktools.beat.choice import GUARDED, OURS
from tasktools.beat.scheduler import Scheduler as OurScheduler
from tasktools.exceptions import ConfigurationError
from tasktools.management.run_base import RunCommand
from tasktools.overview import tables
from tasktools.project import BeatPlan, current_project


class Stored(Scheduler):
    """A scheduler of an installed app."""


@pytest.mark.parametrize("before", [None, 0, 1])
def test_scheduler__whose_tables_are_missing(
    run_command: Any, monkeypatch: pytest.MonkeyPatch, before: int | None
) -> None:
    """It was a traceback of a thousand lines, a token each. A reload, with other processes `before` it, says it too."""
    line = None if before is None else SimpleNamespace(before=before, say=lambda *_: None, listen=lambda: None)
    monkeypatch.setattr(RunCommand, "line", line)
    monkeypatch.setattr(tables, "app_of", lambda kind: SimpleNamespace(label="beat_app") if kind is Stored else None)
    monkeypatch.setattr(tables, "lacking", lambda app: "default")
    ran = run_command("runbeat", "--noreload", "-S", f"{__name__}:Stored", skip_checks=True)
    assert ran.err.splitlines()[-2:] == [
        "The scheduler keeps its data in the database, and tables of beat_app are missing there.",
        "Hint: python manage.py migrate beat_app",
    ]
    assert ran.code == 2


@pytest.mark.parametrize(("before", "is_told"), [(0, False), (1, True)])
def test_jobs__that_are_no_tasks_are_not_said_again_at_a_reload(
    run_command: Any, elsewhere: Any, monkeypatch: pytest.MonkeyPatch, before: int, is_told: bool
) -> None:
    """With --skip-checks, the log says it: that of the process which the reload replaces."""
    line = SimpleNamespace(before=before, say=lambda *_: None, listen=lambda: None)
    monkeypatch.setattr(RunCommand, "line", line)
    monkeypatch.setattr(RunCommand, "start", lambda *_: 0)
    monkeypatch.setattr(shutdown, "end_between_ticks", lambda app: None)
    run_command("runbeat", "--noreload", "-A", elsewhere(broker_url="redis://127.0.0.1:1/0"), skip_checks=True)
    assert current_project().told_jobs is is_told


@pytest.fixture
def planned(elsewhere: Any, run_command: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run runbeat up to the start of Celery's beat; return what it printed, Celery's words, and the plan."""

    def plan(*words: str, **changes: Any) -> tuple[Any, list[str], BeatPlan]:
        name = elsewhere(**{"broker_url": "redis://127.0.0.1:1/0", **changes})
        given: list[str] = []
        monkeypatch.setattr(RunCommand, "start", lambda self, found, words, options: given.extend(words) or 0)  # type: ignore[func-returns-value]
        monkeypatch.setattr(shutdown, "end_between_ticks", lambda app: None)
        ran = run_command("runbeat", "--noreload", "-A", name, *words, skip_checks=True)
        return ran, given, current_project().beat

    return plan


def scheduler(words: list[str]) -> str:
    return words[words.index("--scheduler") + 1]


def test_redis__our_scheduler_and_what_it_guarantees(planned: Any) -> None:
    ran, words, plan = planned()
    assert ran.code == 0, ran.err
    assert scheduler(words) == OURS
    assert "--schedule" not in words
    [first] = [each for each in ran.err.splitlines() if each.startswith("app ")]
    assert first.endswith(" | one beat at a time, each tick sent once")
    assert (plan.stands_by, plan.scheduler) == (True, "")
    assert plan.lease == 1.4
    assert len(plan.code) == 12


def test_no_standby(planned: Any) -> None:
    ran, words, plan = planned("--no-standby")
    assert ran.code == 0, ran.err
    assert "--no-standby" not in words
    assert not plan.stands_by


@pytest.mark.parametrize("chosen", ["celery.beat:PersistentScheduler", f"{__name__}:Stored"])
def test_scheduler_that_the_project_has_set__is_kept_with_a_lease_around_it(
    planned: Any, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran, words, plan = planned(beat_scheduler=chosen)
    assert ran.code == 0, ran.err
    assert scheduler(words) == GUARDED
    assert plan.scheduler == chosen
    assert " | one beat at a time, by a lease in the broker" in ran.err


def test_schedule_option__is_celery_s_scheduler(planned: Any, tmp_path: Path) -> None:
    ran, words, plan = planned("--schedule", str(tmp_path / "beat"))
    assert ran.code == 0, ran.err
    assert scheduler(words) == GUARDED
    assert plan.scheduler == "celery.beat:PersistentScheduler"


def test_broker_without_leases__a_lock_beside_the_schedule(
    planned: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran, words, plan = planned(broker_url="memory://")
    assert ran.code == 0, ran.err
    assert scheduler(words) == GUARDED
    assert plan.lock.endswith("celerybeat-schedule.lock")
    assert " | one beat at a time on this machine" in ran.err


def test_our_scheduler__on_a_broker_that_cannot_have_it_is_refused(planned: Any) -> None:
    ran, words, _ = planned("-S", OURS, broker_url="memory://")
    assert ran.code == 2, ran.err
    assert "needs Redis or Valkey as the broker" in ran.err
    assert "Hint: " in ran.err
    assert words == []


class Made(OurScheduler):
    """A scheduler that a project makes from ours."""


def test_scheduler_made_from_ours__has_no_second_lease_around_it(planned: Any) -> None:
    """Of the same name, and so it would stand by for ever."""
    ran, words, plan = planned(beat_scheduler=f"{__name__}:Made")
    assert ran.code == 0, ran.err
    assert scheduler(words) == f"{__name__}:Made"
    assert plan.scheduler == ""
    assert " | one beat at a time, each tick sent once" in ran.err


@pytest.mark.parametrize(
    ("lease", "sentence"),
    [
        ("0.1", 'TASKTOOLS_BEAT_LEASE is "0.1", which is too short.'),
        (0.1, 'TASKTOOLS_BEAT_LEASE is "0.1", which is too short.'),
        ("2h", 'TASKTOOLS_BEAT_LEASE is "2h", which is too long.'),
        ("soon", "TASKTOOLS_BEAT_LEASE"),
        (object, "TASKTOOLS_BEAT_LEASE"),
        (float("nan"), "TASKTOOLS_BEAT_LEASE"),
        (float("inf"), "TASKTOOLS_BEAT_LEASE"),
        (-1, "TASKTOOLS_BEAT_LEASE"),
    ],
    ids=repr,
)
def test_lease__that_is_wrong(planned: Any, settings: Any, lease: Any, sentence: str) -> None:
    settings.TASKTOOLS_BEAT_LEASE = lease
    ran, words, _ = planned()
    assert ran.code == 2, ran.err
    assert sentence in ran.err
    assert "Hint: " in ran.err
    assert words == []


@pytest.mark.parametrize(("lease", "seconds"), [("500ms", 0.5), ("1h", 3600), (10, 10), ("1m30s", 90)])
def test_lease__that_is_right(planned: Any, settings: Any, lease: Any, seconds: float) -> None:
    settings.TASKTOOLS_BEAT_LEASE = lease
    ran, _, plan = planned()
    assert ran.code == 0, ran.err
    assert plan.lease == seconds


@pytest.mark.parametrize(
    ("words", "changes", "sentence"),
    [
        (["--max-interval", "-1"], {}, "--max-interval is -1, and a pause cannot be negative."),
        (["--max-interval=-1"], {"beat_scheduler": "celery.beat:PersistentScheduler"}, "--max-interval is -1,"),
        (
            [],
            {"beat_max_loop_interval": -0.5},
            "CELERY_BEAT_MAX_LOOP_INTERVAL is -0.5, and a pause cannot be negative.",
        ),
        (["--max-interval", "-1"], {"beat_max_loop_interval": 5}, "--max-interval is -1,"),
        (["--max-interval", "0"], {"beat_max_loop_interval": -1}, "CELERY_BEAT_MAX_LOOP_INTERVAL is -1,"),
    ],
)
def test_negative_pause__is_refused(planned: Any, words: list[str], changes: dict[str, Any], sentence: str) -> None:
    """Beat made no pause at all."""
    ran, given, _ = planned(*words, **changes)
    assert ran.code == 2
    assert sentence in ran.err
    assert given == []


@pytest.mark.parametrize(("typed", "setting"), [("5", None), ("0", None), ("5", -1)])
def test_pause_that_is_right__is_taken(planned: Any, typed: str, setting: Any) -> None:
    ran, given, _ = planned("--max-interval", typed, beat_max_loop_interval=setting)
    assert ran.code == 0, ran.err
    assert given


def test_no_standby__is_refused_with_redbeat(planned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.beat.choice.is_redbeat", lambda scheduler: True)
    ran, _, _ = planned("--no-standby", "-S", f"{__name__}:Stored")
    assert ran.code == 2
    assert "--no-standby does not work with RedBeat, which waits for its own lock." in ran.err


def test_lock_that_cannot_be_used__is_refused_at_the_start(
    planned: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beat ran, and sent nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "celerybeat-schedule.lock").mkdir()
    ran, _, _ = planned(broker_url="filesystem://")
    assert ran.code == 2
    assert "Beat cannot keep other beats out: the lock" in ran.err
    assert "cannot be used: Is a directory." in ran.err


def test_user_without_permission__gets_celery_s_scheduler(
    planned: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tasktools.beat.permission.refusal", lambda app: ConfigurationError("No.", hint="allow it"))
    ran, words, plan = planned()
    assert ran.code == 0, ran.err
    assert scheduler(words) == GUARDED
    assert plan.scheduler == "celery.beat:PersistentScheduler"
    assert "No." in ran.err
