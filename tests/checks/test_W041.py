from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.brokers import private
from tasktools.discovery.celery_app import Found
from tasktools.project import Project
from tasktools.valkey.server import Home


@pytest.mark.parametrize(
    ("written", "meant", "value"),
    [
        ("CELERY_TASK_ALLWAYS_EAGER", "CELERY_TASK_ALWAYS_EAGER", True),  # a letter more
        ("CELERY_RESULT_BAKEND", "CELERY_RESULT_BACKEND", "redis://localhost/1"),  # a letter less
        ("CELERY_TIMEZNOE", "CELERY_TIMEZONE", "Europe/Berlin"),  # two letters that have changed places
        ("CELERY_RESULTS_BACKENDS", "CELERY_RESULT_BACKEND", "redis://localhost/1"),
        ("CELERY_IMPORT", "CELERY_IMPORTS", ["shop.jobs"]),
        ("CELERY_TASK_ROUTE", "CELERY_TASK_ROUTES", {}),
        ("CELERY_TASK_QUEUE", "CELERY_TASK_QUEUES", []),
        ("CELERY_SOFT_TASK_TIME_LIMIT", "CELERY_TASK_SOFT_TIME_LIMIT", 60),  # the words in another order
        ("CELERY_RESULT_BACKEND_URL", "CELERY_RESULT_BACKEND", "redis://localhost/1"),
        ("CELERY_REDBEAT_LOCK_TIMEUOT", "CELERY_REDBEAT_LOCK_TIMEOUT", 5),
    ],
)
def test_W041__fires_for_a_slip(mysite: Any, settings: Any, written: str, meant: str, value: Any) -> None:
    setattr(settings, written, value)
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            f"{written} is no setting that Celery knows, and {meant} is not set.",
            hint=f"did you mean {meant}?",
            id="tasktools.W041",
        )
    ]


def test_W041__fires_for_each_slip(mysite: Any, settings: Any) -> None:
    settings.CELERY_TIMEZNOE = settings.CELERY_IMPORT = settings.TASKTOOLS_LINGR = "UTC"
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W041"] * 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERY_TASK_QUEUE", "mails"),  # its value is none for CELERY_TASK_QUEUES
        ("CELERY_TASK_TIME_LIMITS", {"short": 3}),
        ("CELERY_TIME_LIMIT", 30),  # a word less
        ("CELERY_TASK_TIME_LIMIT_LONG", 30),
        ("CELERY_TASK_TIME_LIMIT2", 30),
        ("CELERY_BROKER_URL_2", "redis://localhost/2"),
        ("CELERY_RESULT_BACKEND_URL", "none"),
        ("CELERY_RESULT_BAKKENDD", "none"),  # three letters
        ("CELERY_MITEZONE", "UTC"),  # the letters of another, and no typing error
        ("CELERY_TIME_ZONE", "Europe/Berlin"),  # Celery reads it
        ("CELERY_EMAIL_BACKEND", "a.b"),
        ("CELERY_ALWAYS_EAGER", False),  # an old name
        ("CELERY_REDBEAT_LOCK_TIMEOUT", 5),
        ("CELERY_REDIS_BACKEND_HEALTH_CHECK_INTERVAL", 5),
        ("CELERY_WORKER_CONCURRENCY", 5),
        ("CELERYX_TIMEZNOE", "UTC"),
        ("CELERY_Timeznoe", "UTC"),
    ],
)
def test_W041__is_silent_about(mysite: Any, settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert run_checks(tags=[checks.TAG]) == []


@pytest.mark.parametrize("how", ["settings", "code", "environment"])
def test_W041__is_silent_where_the_setting_that_is_like_it_is_set(
    mysite: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Then the other name is likely to be a part of it, or for the code of the project."""
    settings.CELERY_RESULT_BACKENDS = url = "redis://localhost/1"
    if how == "settings":
        settings.CELERY_RESULT_BACKEND = url
    elif how == "code":
        mysite.conf.result_backend = url
    else:
        monkeypatch.setenv("CELERY_RESULT_BACKEND", url)
    assert run_checks(tags=[checks.TAG]) == []


def test_W041__fires_where_the_private_valkey_is_used_in_its_place(
    mysite: Any, settings: Any, project: Project, tmp_path: Path
) -> None:
    del settings.CELERY_BROKER_URL
    settings.CELERY_RESULT_BAKEND = "redis://localhost/1"
    private.use(mysite.conf, Home(folder=tmp_path, linger=1))
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W041"]


def test_W041__leaves_the_broker_to_W001(mysite: Any, settings: Any) -> None:
    del settings.CELERY_BROKER_URL
    settings.CELERY_BROKER_ULR = "redis://localhost/1"
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W001"]


def other_app(project: Project, namespace: str | None) -> None:
    app = Celery("other", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace=namespace)
    project.found = Found(app=app)


def test_W041__names_the_broker_of_an_app_with_another_prefix(mysite: Any, settings: Any, project: Project) -> None:
    settings.JOBS_BROKER_ULR = "redis://localhost/1"
    other_app(project, "JOBS")
    (message,) = run_checks(tags=[checks.TAG])
    assert (message.id, message.hint) == ("tasktools.W041", "did you mean JOBS_BROKER_URL?")


@pytest.mark.parametrize("namespace", [None, "JOBS"])
def test_W041__is_silent_about_names_without_the_prefix(
    mysite: Any, settings: Any, project: Project, namespace: str | None
) -> None:
    settings.CELERY_TIMEZNOE = "Europe/Berlin"
    other_app(project, namespace)
    assert run_checks(tags=[checks.TAG]) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("TASKTOOLS_LINGR", "did you mean TASKTOOLS_LINGER?"),
        ("TASKTOOLS_WHATEVER_ELSE", "remove it; the settings are TASKTOOLS_APP, TASKTOOLS_BEAT_LEASE, "),
    ],
)
@pytest.mark.parametrize("fixture", ["shop", "mysite"])
def test_W041__fires_for_a_setting_that_tasktools_does_not_have(
    settings: Any, request: pytest.FixtureRequest, name: str, hint: str, fixture: str
) -> None:
    request.getfixturevalue(fixture)
    setattr(settings, name, 5)
    (message,) = run_checks(tags=[checks.TAG])
    assert (message.id, message.msg) == ("tasktools.W041", f"{name} is no setting of tasktools.")
    assert message.hint is not None
    assert message.hint.startswith(hint)


def test_W041__is_silent_about_the_settings_of_tasktools(mysite: Any, settings: Any) -> None:
    settings.TASKTOOLS_LINGER = 5
    assert run_checks(tags=[checks.TAG]) == []
