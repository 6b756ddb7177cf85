from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks, startup
from tasktools.brokers import private
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ConfigurationError
from tasktools.project import Project
from tasktools.valkey.server import Home

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


MISSPELT = CheckWarning(
    "No broker is configured: CELERY_BROKER_ULR is no setting.", hint="did you mean CELERY_BROKER_URL?", id=UNSET.id
)


def test_W001__names_a_misspelt_setting(brokerless: Any, settings: Any) -> None:
    settings.DEBUG, settings.CELERY_BROKER_ULR = False, "redis://h"
    startup.choose_broker(Found(app=brokerless, ready_made=True))
    assert run_checks(tags=[checks.TAG]) == [MISSPELT]
    with pytest.raises(ConfigurationError) as caught, brokerless.connection_for_write() as connection:
        connection.transport  # noqa: B018 - what .delay() uses
    assert (caught.value.sentence, caught.value.hint) == (MISSPELT.msg, MISSPELT.hint)


@pytest.mark.parametrize("ready_made", [True, False])
def test_W001__names_a_misspelt_setting_where_another_broker_is_used(
    brokerless: Any, settings: Any, project: Project, tmp_path: Path, ready_made: bool
) -> None:
    settings.CELERY_BROKER_ULR = "redis://h"
    project.found = Found(app=brokerless, ready_made=ready_made)
    private.use(brokerless.conf, Home(folder=tmp_path, linger=1))
    (message,) = run_checks(tags=[checks.TAG])
    assert message.msg == (
        f"CELERY_BROKER_URL is not set: Celery uses redis+socket://{tmp_path}/valkey.sock."
        " CELERY_BROKER_ULR is no setting."
    )
    assert (message.hint, message.id) == (MISSPELT.hint, UNSET.id)


def test_W001__names_a_misspelt_setting_where_celery_has_its_default(
    brokerless: Any, settings: Any, project: Project
) -> None:
    settings.CELERY_BROKER_ULR = "redis://h"
    project.found = Found(app=brokerless)
    (message,) = run_checks(tags=[checks.TAG])
    assert message.msg == (
        "CELERY_BROKER_URL is not set: Celery uses amqp://guest:**@localhost:5672//. CELERY_BROKER_ULR is no setting."
    )


@pytest.mark.parametrize("conf", [{"broker_url": "redis://h"}, {"task_always_eager": True}])
def test_W001__is_silent_about_a_misspelt_setting_that_is_not_missed(
    brokerless: Any, settings: Any, conf: dict[str, Any]
) -> None:
    settings.CELERY_BROKER_ULR = "redis://h"
    brokerless.conf.update(conf)
    assert run_checks(tags=[checks.TAG]) == []


@pytest.mark.parametrize("name", ["CELERY2_BROKER_URL", "CELERY_BROKER_URL_TEST", "CELERY_BEAT_BROKER_URL"])
def test_W001__takes_no_setting_of_somebody_else_for_a_slip(
    brokerless: Any, settings: Any, project: Project, name: str
) -> None:
    setattr(settings, name, "redis://h")
    project.found = Found(app=brokerless)
    assert run_checks(tags=[checks.TAG]) == []
