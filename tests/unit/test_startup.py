from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.signals import request_started

from tasktools import startup
from tasktools.discovery import celery_app
from tasktools.exceptions import AppError, ConfigurationError, ProjectError, project_code
from tasktools.project import Project, current_project


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """What start-up has found for the suite stays what it is, and nothing waits for a request."""
    project.problems.clear()
    monkeypatch.setattr(request_started, "connect", lambda *_, **__: None)


STOPS = [RuntimeError("no"), SystemExit(3), asyncio.CancelledError("no"), GeneratorExit("no")]


@pytest.mark.parametrize("error", STOPS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["find", "make_default"])
def test_run__nothing_that_the_project_raises_stops_the_site(
    monkeypatch: pytest.MonkeyPatch, place: str, error: BaseException
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    found = current_project().found
    monkeypatch.setattr(celery_app, "find", lambda: found)  # the process has apps of other tests too
    monkeypatch.setattr(celery_app, place, fail)
    startup.run()
    assert current_project().found is None
    told = f"The Celery app cannot be made ready: {type(error).__name__}: {error}."
    assert [(type(problem), problem.sentence) for problem in current_project().problems] == [(ConfigurationError, told)]


def test_run__is_interrupted_by_the_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(celery_app, "find", interrupt)
    with pytest.raises(KeyboardInterrupt):
        startup.run()


def test_run__an_app_that_is_half_imported_is_no_problem_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsettled() -> None:
        raise celery_app.Unsettled("proj.celery")

    monkeypatch.setattr(celery_app, "find", unsettled)
    startup.run()
    assert (current_project().found, current_project().problems) == (None, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("import asyncio\nraise asyncio.CancelledError('gone')", "CancelledError: gone"),
    ],
)
def test_load_tasks__a_module_that_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: Any, text: str, told: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaving_of_this_test.py").write_text(text)
    monkeypatch.setattr(startup, "_task_modules", lambda app: ["leaving_of_this_test"])
    problems = startup.load_tasks(celery_app.Found(app=app, ready_made=True))
    assert [problem.sentence for problem in problems] == [
        f'The module "leaving_of_this_test" cannot be imported: {told}.'
    ]


def test_find__a_named_module_that_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaving_of_that_test.py").write_text("raise SystemExit(1)")
    with pytest.raises(ProjectError, match='The module "leaving_of_that_test" cannot be imported: SystemExit: 1'):
        celery_app.find("leaving_of_that_test:app")


def test_find__a_setting_that_is_no_text(settings: Any) -> None:
    settings.TASKTOOLS_APP = 5
    with pytest.raises(AppError, match='TASKTOOLS_APP names "5", which is no module name'):
        celery_app.find()


def leave() -> None:
    exit()


def test_project_code__exit_closes_stdin__what_follows_has_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stdin").touch()
    with open(tmp_path / "stdin") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(ProjectError, match="left"), project_code(lambda error: ProjectError("left")):
            leave()
        assert stdin.closed
    assert sys.stdin.isatty() is False
    sys.stdin.close()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_run__an_exception_that_cannot_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise Mute

    monkeypatch.setattr(celery_app, "find", fail)
    startup.run()
    assert [problem.sentence for problem in current_project().problems] == [
        "The Celery app cannot be made ready: Mute: <Mute>."
    ]


@pytest.mark.parametrize("value", ["json", ["json"], ("json",)])
def test_task_modules__are_also_those_of_the_settings(value: Any) -> None:
    """Celery takes one name as text, too."""
    app: Any = SimpleNamespace(conf=SimpleNamespace(imports=value, include="decimal"))
    assert [*startup._task_modules(app)][-2:] == ["json", "decimal"]
