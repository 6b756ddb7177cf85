from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks, startup
from tasktools.brokers import private
from tasktools.discovery.celery_app import Found
from tasktools.project import Project

UNSET = CheckWarning(
    "No broker is configured, and with DEBUG off there is no private one.",
    hint='set CELERY_BROKER_URL, as in CELERY_BROKER_URL = "redis://localhost:6379/0"',
    id="tasktools.W001",
)


def test_W001__fires_where_the_ready_made_app_refuses_to_guess_one(brokerless: Any) -> None:
    private.refuse(brokerless.conf, private.unset_error())
    assert run_checks(tags=[checks.TAG]) == [UNSET]


def test_W001__fires_with_debug_off(brokerless: Any, settings: Any) -> None:
    settings.DEBUG = False
    startup.choose_broker(Found(app=brokerless, ready_made=True))
    assert run_checks(tags=[checks.TAG]) == [UNSET]


@pytest.mark.parametrize("setting", ["broker_url", "broker_write_url"])
def test_W001__is_silent_with_a_broker(brokerless: Any, setting: str) -> None:
    brokerless.conf[setting] = "redis://localhost:6379/0"
    assert run_checks(tags=[checks.TAG]) == []


def test_W001__is_silent_where_tasks_run_at_once(brokerless: Any) -> None:
    brokerless.conf.task_always_eager = True
    assert run_checks(tags=[checks.TAG]) == []


def test_W001__is_silent_in_a_project_without_tasks(brokerless: Any) -> None:
    for name in [name for name in brokerless.tasks if not name.startswith("celery.")]:
        del brokerless.tasks[name]
    assert run_checks(tags=[checks.TAG]) == []


def test_W001__is_silent_where_no_app_was_found(project: Project) -> None:
    project.found = None
    assert run_checks(tags=[checks.TAG]) == []


def test_W001__is_silent_with_the_private_server(app: Any) -> None:
    assert run_checks(tags=[checks.TAG]) == []
