from __future__ import annotations

import logging

import pytest

from tasktools import startup
from tasktools.discovery import celery_app, django_fixup
from tasktools.exceptions import AppError, ProjectError
from tasktools.project import Project
from tasktools.shell import task_imports


def test_task_imports__a_line_for_each_task() -> None:
    assert "from tests.site.tasks import total" in task_imports()


def test_task_imports__the_shell_starts_where_there_is_no_app(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, project: Project
) -> None:
    def fail() -> None:
        raise AppError("This project has 2 Celery apps.", hint="choose one")

    project.found = None
    monkeypatch.setattr(celery_app, "find", fail)
    with caplog.at_level(logging.ERROR, logger="tasktools"):
        assert task_imports() == []
    assert caplog.messages == ["No task is imported. This project has 2 Celery apps. Hint: choose one"]


def test_task_imports__what_is_broken_is_logged_without_passwords(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = ProjectError("shop.tasks is broken: redis://u:s3cret@h\x1b[2J.", hint="fix it")
    rest = ProjectError("The system checks cannot be run.")
    monkeypatch.setattr(startup, "load_tasks", lambda *_: [broken])
    monkeypatch.setattr(django_fixup, "load_rest", lambda *_: [rest])
    with caplog.at_level(logging.ERROR, logger="tasktools"):
        assert "from tests.site.tasks import total" in task_imports()
    assert caplog.messages == [
        r"shop.tasks is broken: redis://u:**@h\x1b[2J. Hint: fix it",
        "The system checks cannot be run.",
    ]


def test_task_imports__the_error_that_is_logged_has_no_passwords(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise AppError("No app: redis://u:s3cret@h\nx.", hint="choose one")

    monkeypatch.setattr(startup, "load_tasks", fail)
    with caplog.at_level(logging.ERROR, logger="tasktools"):
        assert task_imports() == []
    assert caplog.messages == [r"No task is imported. No app: redis://u:**@h\nx. Hint: choose one"]
