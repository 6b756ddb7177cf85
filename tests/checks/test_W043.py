from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERY_TASK_TIME_LIMIT", 30),
        ("CELERY_TASK_ALWAYS_EAGER", False),
        ("CELERY_TASK_REJECT_ON_WORKER_LOST", True),
        ("CELERY_BROKER_TRANSPORT_OPTIONS", {"visibility_timeout": 60}),
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
