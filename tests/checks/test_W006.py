from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.project import Project


@pytest.fixture
def eager(shop: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An app whose tasks run at once, on a site outside tests with DEBUG off."""
    monkeypatch.delattr(mail, "outbox")
    settings.DEBUG = False
    shop.conf.task_always_eager = True
    return shop


def test_W006__fires_with_debug_off(eager: Any) -> None:
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            "CELERY_TASK_ALWAYS_EAGER is set, and DEBUG is off: "
            ".delay() runs each task in the process that calls it, and no worker gets it.",
            hint="unset it outside tests",
            id="tasktools.W006",
        )
    ]


def test_W006__is_silent_in_development(eager: Any, settings: Any) -> None:
    settings.DEBUG = True
    assert run_checks(tags=[checks.TAG]) == []


def test_W006__is_silent_in_tests(eager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's test environment switches DEBUG off, and runs the checks."""
    monkeypatch.setattr(mail, "outbox", [], raising=False)
    assert run_checks(tags=[checks.TAG]) == []


def test_W006__is_silent_where_a_worker_gets_the_tasks(eager: Any) -> None:
    eager.conf.update(task_always_eager=False, broker_url="redis://localhost/0")
    assert run_checks(tags=[checks.TAG]) == []


def test_W006__is_silent_where_no_app_was_found(eager: Any, project: Project) -> None:
    project.found = None
    assert run_checks(tags=[checks.TAG]) == []
