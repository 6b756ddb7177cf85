from __future__ import annotations

import logging

import pytest

from tasktools import discovery, startup
from tasktools.exceptions import AppError
from tasktools.shell import task_imports


def test_task_imports__a_line_for_each_task() -> None:
    assert "from tests.site.tasks import total" in task_imports()


def test_task_imports__the_shell_starts_where_there_is_no_app(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise AppError("This project has 2 Celery apps.", hint="choose one")

    monkeypatch.setattr(startup, "found", None)
    monkeypatch.setattr(discovery, "find", fail)
    with caplog.at_level(logging.ERROR, logger="tasktools"):
        assert task_imports() == []
    assert caplog.messages == ["No task is imported. This project has 2 Celery apps. Hint: choose one"]
