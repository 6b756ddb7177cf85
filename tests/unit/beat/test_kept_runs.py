from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.beat import PersistentScheduler

from tasktools.beat.kept_runs import kept_runs
from tests.unit.beat.schedules import app_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a PersistentScheduler of which one entry has run."""
    app = app_in("Europe/Berlin")
    app.conf.result_expires = None
    app.conf.beat_schedule = {name: {"task": "task", "schedule": 60} for name in ("ran", "new")}
    made: Any = PersistentScheduler(app, schedule_filename=str(tmp_path / "schedule"))
    made.reserve(made.schedule["ran"])
    made.close()
    return tmp_path / "schedule"


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def test_kept_runs__of_celerys_file(file: Path) -> None:
    before = contents(file.parent)
    kept = kept_runs([file.with_name("nowhere"), file])
    assert kept.fault == ""
    assert {name: run.count for name, run in kept.runs.items()} == {"ran": 1, "new": 0}
    assert abs(datetime.now(timezone.utc) - kept.runs["ran"].at) < timedelta(minutes=1)
    assert contents(file.parent) == before


def test_kept_runs__are_unknown_without_a_file(tmp_path: Path) -> None:
    kept = kept_runs([tmp_path / "nowhere"])
    assert (kept.runs, kept.fault) == (
        {},
        "No file says when entries last ran: beat has not run here, or with --schedule.",
    )


def test_kept_runs__of_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "schedule").write_text("no schedule")
    kept = kept_runs([tmp_path / "schedule"])
    assert kept.runs == {}
    assert kept.fault.startswith(f'"{tmp_path}/schedule" cannot be read: ')
    assert (tmp_path / "schedule").read_text() == "no schedule"


def test_kept_runs__of_another_user_are_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.geteuid()
    monkeypatch.setattr("tasktools.beat.kept_runs.os", SimpleNamespace(geteuid=lambda: mine + 1))
    kept = kept_runs([file])
    sentence = f'When entries last ran is in "{file}", which belongs to another user and is not read.'
    assert (kept.runs, kept.fault) == ({}, sentence)
