from __future__ import annotations

from datetime import timedelta
from typing import Any

import celery
import pytest
from celery import Celery
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.discovery.celery_app import Found
from tasktools.project import Project

#: What the installed Celery does with an old name. From 5.7 on, it reads it with a namespace too.
FATE = (
    f"Celery {celery.__version__} ignores it"
    if celery.VERSION < (5, 7)
    else f"Celery {celery.__version__} reads it, and those before 5.7 ignore it"
)


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("CELERYD_CONCURRENCY", "CELERY_WORKER_CONCURRENCY", 3),
        ("CELERY_ACKS_LATE", "CELERY_TASK_ACKS_LATE", True),
        ("CELERYBEAT_SCHEDULER", "CELERY_BEAT_SCHEDULER", "celery.beat:Scheduler"),
        ("BROKER_POOL_LIMIT", "CELERY_BROKER_POOL_LIMIT", 3),
        ("CELERY_SEND_TASK_SENT_EVENT", "CELERY_TASK_SEND_SENT_EVENT", True),  # which looks like a slip
    ],
)
def test_W040__fires_for_an_old_name(mysite: Any, settings: Any, old: str, new: str, value: Any) -> None:
    setattr(settings, old, value)
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(f"{old} is an old name of {new}: {FATE}.", hint=f"rename it to {new}", id="tasktools.W040")
    ]
    assert (mysite.conf[new.removeprefix("CELERY_").lower()] == value) is (celery.VERSION >= (5, 7))


def test_W040__names_the_prefix_of_the_app(mysite: Any, settings: Any, project: Project) -> None:
    settings.CELERYD_CONCURRENCY = 3
    app = Celery("other", broker="memory://", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="JOBS")
    project.found = Found(app=app)
    (message,) = run_checks(tags=[checks.TAG])
    assert (message.id, message.hint) == ("tasktools.W040", "rename it to JOBS_WORKER_CONCURRENCY")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERYD_CONCURRENCY", None),  # the default
        ("CELERY_ALWAYS_EAGER", False),
        ("CELERY_TASK_RESULT_EXPIRES", timedelta(days=1)),
        ("CELERY_TIMEZONE", "Europe/Berlin"),  # the names of these have not changed
        ("CELERY_RESULT_BACKEND", "redis://localhost/1"),
        ("CELERY_TASK_SERIALIZER", "json"),
        ("BROKER_HOST", "mqtt.example.com"),  # somebody else's
        ("BROKER_PASSWORD", "secret"),
        ("BROKER_PORT", 1883),
        ("BROKER_TRANSPORT", "mqtt"),
        ("BROKER_USER", "me"),
        ("BROKER_VHOST", "/shop"),
        ("BROKER_URL", "redis://localhost/1"),  # the new one is set
        ("BROKER_URL", "mqtt://localhost"),
        ("S3_BUCKET", "pictures"),
        ("CELERYD_NODES", "a b"),  # init scripts read it
    ],
)
def test_W040__is_silent_about(mysite: Any, settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert run_checks(tags=[checks.TAG]) == []


def test_W040__is_silent_where_the_new_name_has_the_same_value(mysite: Any, settings: Any) -> None:
    settings.CELERYD_CONCURRENCY = settings.CELERY_WORKER_CONCURRENCY = 3
    assert run_checks(tags=[checks.TAG]) == []


def test_W040__is_silent_where_code_passes_the_value_on(mysite: Any, settings: Any) -> None:
    settings.CELERYD_CONCURRENCY = 3
    mysite.conf.update(worker_concurrency=settings.CELERYD_CONCURRENCY)
    assert run_checks(tags=[checks.TAG]) == []


def test_W040__is_silent_about_a_part_of_the_new_value(mysite: Any, settings: Any) -> None:
    settings.BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60}
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {**settings.BROKER_TRANSPORT_OPTIONS, "socket_timeout": 5}
    assert run_checks(tags=[checks.TAG]) == []


@pytest.mark.parametrize("namespace", [None, "celery"])
def test_W040__is_silent_without_a_prefix_for_the_settings(
    mysite: Any, settings: Any, project: Project, namespace: str | None
) -> None:
    """Celery reads the old names then, on all versions; in Django's settings it cannot find the new ones."""
    settings.CELERYD_CONCURRENCY = 3
    app = Celery("other", broker="memory://", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace=namespace)
    project.found = Found(app=app)
    assert run_checks(tags=[checks.TAG]) == []


def test_W040__is_silent_where_the_app_reads_other_settings(shop: Any, settings: Any) -> None:
    settings.CELERYD_CONCURRENCY = 3
    shop.namespace = "CELERY"
    assert run_checks(tags=[checks.TAG]) == []
