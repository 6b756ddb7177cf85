from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.checks import kinds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERY_TASK_TIME_LIMIT", 30),
        ("CELERY_TASK_ALWAYS_EAGER", False),
        ("CELERY_TASK_REJECT_ON_WORKER_LOST", True),
        ("CELERY_RESULT_BACKEND", "redis://localhost/1"),
    ],
)
def test_W043__fires_for_a_comma_at_the_end_of_the_line(mysite: Any, settings: Any, name: str, value: Any) -> None:
    settings.DEBUG = True
    setattr(settings, name, (value,))
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            f"{name} is ({value!r},), a tuple: its line ends with a comma.",
            hint=f"remove the comma: {name} = {value!r}",
            id="tasktools.W043",
        )
    ]


@pytest.mark.parametrize(
    "name",
    [
        "beat_schedule_filename",
        "beat_scheduler",
        "cache_backend",
        "result_backend",
        "result_serializer",
        "task_serializer",
        "worker_pool",
        "worker_state_db",
    ],
)
def test_W043__knows_the_settings_that_are_text(name: str) -> None:
    assert kinds.has_comma(name, ("json",))
    assert not kinds.has_comma(name, "json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERY_BROKER_TRANSPORT_OPTIONS", {"password": 123456}),
        ("CELERY_MONGODB_BACKEND_SETTINGS", {"database": "d" * 36, "password": "S3cretPassw0rdLong99"}),
        ("CELERY_BROKER_USE_SSL", {"password": "pw"}),
    ],
)
def test_W043__shows_no_value_that_may_hold_a_password(mysite: Any, settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, (value,))
    messages = [each for each in run_checks(tags=[checks.TAG]) if each.id == "tasktools.W043"]
    assert messages == [
        CheckWarning(
            f"{name} is a tuple: its line ends with a comma.",
            hint=f"remove the comma at the end of {name}",
            id="tasktools.W043",
        )
    ]


@pytest.mark.parametrize("password", ["pw", "S3cretPassw0rdLong99"])
def test_W043__hides_a_password_before_it_cuts_the_text(mysite: Any, settings: Any, password: str) -> None:
    settings.CELERY_RESULT_BACKEND = (f"redis://{'u' * 60}:{password}@localhost/1",)
    (message,) = (each for each in run_checks(tags=[checks.TAG]) if each.id == "tasktools.W043")
    assert f"{'u' * 60}:**" in message.msg
    assert password[:2] not in f"{message.msg} {message.hint}".partition("uuu")[2]


def test_W043__hides_the_password_of_another_setting_before_it_cuts_the_text(mysite: Any, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://:S3cretPassw0rdLong99@localhost"
    settings.CELERY_WORKER_POOL = ("x" * 70 + "S3cretPassw0rdLong99",)
    (message,) = (each for each in run_checks(tags=[checks.TAG]) if each.id == "tasktools.W043")
    assert f"{'x' * 70}**" in message.msg
    assert "S3c" not in f"{message.msg} {message.hint}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERY_ACCEPT_CONTENT", ("json",)),
        ("CELERY_IMPORTS", ("mysite.jobs",)),
        ("CELERY_BROKER_URL", ("redis://localhost/0",)),
        ("CELERY_TASK_ROUTES", ({"mysite.*": "mails"},)),
        ("CELERY_RESULT_EXTENDED", [True]),
        ("CELERY_RESULT_EXTENDED", (True, False)),
    ],
)
def test_W043__is_silent_about(mysite: Any, settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert run_checks(tags=[checks.TAG]) == []
