from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from celery.beat import Scheduler
from django.apps import apps
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks


@pytest.fixture
def installed(mysite: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A site with django-celery-beat, which may be missing here."""
    is_installed = apps.is_installed
    monkeypatch.setattr(apps, "is_installed", lambda name: name == "django_celery_beat" or is_installed(name))
    library: Any = ModuleType("django_celery_beat")
    library.schedulers = ModuleType("django_celery_beat.schedulers")
    library.schedulers.DatabaseScheduler = type("DatabaseScheduler", (Scheduler,), {})
    for module in (library, library.schedulers):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return mysite


OFF = CheckWarning(
    "USE_TZ is off, and DJANGO_CELERY_BEAT_TZ_AWARE is on: SQLite and MySQL refuse what django-celery-beat saves, "
    "and an entry with a start or an end raises TypeError.",
    hint="DJANGO_CELERY_BEAT_TZ_AWARE = False",
    id="tasktools.W047",
)
ON = CheckWarning(
    "USE_TZ is on, and DJANGO_CELERY_BEAT_TZ_AWARE is off: the last run of an entry is saved in a wrong time zone, "
    "and an entry with a start or an end raises TypeError.",
    hint="remove DJANGO_CELERY_BEAT_TZ_AWARE, or set it to True",
    id="tasktools.W047",
)


@pytest.mark.parametrize(("use_tz", "aware", "message"), [(False, None, OFF), (False, True, OFF), (True, False, ON)])
@pytest.mark.parametrize("scheduler", [None, "django", "django_celery_beat.schedulers:DatabaseScheduler"])
def test_W047__fires_where_both_disagree(
    installed: Any, settings: Any, use_tz: bool, aware: bool | None, message: Any, scheduler: str | None
) -> None:
    settings.USE_TZ = use_tz
    if aware is not None:
        settings.DJANGO_CELERY_BEAT_TZ_AWARE = aware
    if scheduler:
        settings.CELERY_BEAT_SCHEDULER = scheduler
    assert run_checks(tags=[checks.TAG]) == [message]


@pytest.mark.parametrize(("use_tz", "aware"), [(False, False), (True, True)])
def test_W047__is_silent_where_they_agree(installed: Any, settings: Any, use_tz: bool, aware: bool) -> None:
    settings.USE_TZ, settings.DJANGO_CELERY_BEAT_TZ_AWARE = use_tz, aware
    assert run_checks(tags=[checks.TAG]) == []


def test_W047__is_silent_by_default(installed: Any) -> None:
    assert run_checks(tags=[checks.TAG]) == []


def test_W047__is_silent_with_another_scheduler(installed: Any, settings: Any) -> None:
    settings.USE_TZ, settings.CELERY_BEAT_SCHEDULER = False, "celery.beat:Scheduler"
    assert run_checks(tags=[checks.TAG]) == []


def test_W047__is_silent_without_the_library(mysite: Any, settings: Any) -> None:
    settings.USE_TZ = False
    assert run_checks(tags=[checks.TAG]) == []
