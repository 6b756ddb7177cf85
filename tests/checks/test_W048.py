from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from celery.schedules import crontab
from django.conf import UserSettingsHolder
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks


def send() -> None: ...


@pytest.fixture(autouse=True)
def nightly(mysite: Any, settings: Any) -> None:
    """A task, and an entry that runs it at 7 o'clock."""
    mysite.task(name="mysite.send", shared=False)(send)
    schedule(settings, crontab(hour=7, minute=0))


def schedule(settings: Any, *schedules: Any) -> None:
    """Give the site one entry for each schedule."""
    settings.CELERY_BEAT_SCHEDULE = {
        f"entry{number}": {"task": "mysite.send", "schedule": each} for number, each in enumerate(schedules)
    }


def ids(*, deploy: bool = True) -> list[str | None]:
    """Return what our checks say, of a deployment or without its checks."""
    return [message.id for message in run_checks(tags=[checks.TAG], include_deployment_checks=deploy)]


def test_W048__fires_for_two_time_zones(settings: Any) -> None:
    settings.CELERY_TIMEZONE, settings.TIME_ZONE = "UTC", "Europe/Berlin"
    assert run_checks(tags=[checks.TAG], include_deployment_checks=True) == [
        CheckWarning(
            'CELERY_TIMEZONE is "UTC", and TIME_ZONE is "Europe/Berlin": the hours of the entry "entry0" are those of UTC.',
            hint="CELERY_TIMEZONE = TIME_ZONE, if the hours are not meant so",
            id="tasktools.W048",
        )
    ]
    assert ids(deploy=False) == []


def test_W048__counts_the_other_entries(settings: Any) -> None:
    settings.CELERY_TIMEZONE = "UTC"
    schedule(settings, 60.0, crontab(hour=7), crontab(hour="*/2"), crontab(minute=5))
    (message,) = run_checks(tags=[checks.TAG], include_deployment_checks=True)
    assert 'the hours of the entry "entry1" and 1 more are those of UTC' in message.msg


def test_W048__fires_for_an_app_without_a_time_zone(mysite: Any, settings: Any) -> None:
    settings.CELERY_TIMEZONE = ""
    (message,) = run_checks(tags=[checks.TAG], include_deployment_checks=True)
    assert message.msg.startswith('CELERY_TIMEZONE is not set, which means UTC, and TIME_ZONE is "Europe/Berlin": ')


@pytest.mark.parametrize(
    ("celery", "site"),
    [
        ("Europe/Berlin", "UTC"),  # the usual way to have local hours and times in UTC
        ("Europe/Paris", "Europe/Berlin"),
        ("Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_W048__is_silent_about(settings: Any, celery: str, site: str) -> None:
    settings.CELERY_TIMEZONE, settings.TIME_ZONE = celery, site
    assert ids() == []


@pytest.mark.parametrize(("celery", "site"), [("UTC", "Europe/London"), ("Asia/Kolkata", "Asia/Tokyo")])
def test_W048__fires_for(settings: Any, celery: str, site: str) -> None:
    """London has the time of UTC in winter alone."""
    settings.CELERY_TIMEZONE, settings.TIME_ZONE = celery, site
    assert ids() == ["tasktools.W048"]


@pytest.mark.parametrize(
    "schedules",
    [
        [],
        [60.0],
        [crontab(minute=5)],
        [crontab(hour=7, nowfun=lambda: datetime.now(timezone.utc))],
        [type("Own", (crontab,), {})(hour=7)],
    ],
)
def test_W048__is_silent_without_hours_in_the_time_zone_of_the_app(settings: Any, schedules: list[Any]) -> None:
    settings.CELERY_TIMEZONE = "UTC"
    schedule(settings, *schedules)
    assert ids() == []


def test_W048__is_silent_where_the_site_names_no_time_zone(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has that of Django's defaults then, which is one in America."""
    settings.CELERY_TIMEZONE = "UTC"
    monkeypatch.setattr(UserSettingsHolder, "is_overridden", lambda _, name: name != "TIME_ZONE")
    assert ids() == []


def test_W048__leaves_a_time_zone_that_does_not_exist_to_E003(settings: Any) -> None:
    settings.CELERY_TIMEZONE = "Europe/Brelin"
    assert ids() == ["tasktools.E003"]


@pytest.mark.parametrize("broken", [[1], {"entry": ("mysite.send", 10)}])
def test_W048__leaves_a_schedule_that_beat_cannot_read_to_E012(settings: Any, broken: Any) -> None:
    settings.CELERY_TIMEZONE, settings.CELERY_BEAT_SCHEDULE = "UTC", broken
    assert ids() == ["tasktools.E012"]


def test_W048__names_the_setting_of_an_app_without_a_prefix(shop: Any) -> None:
    shop.task(name="mysite.send", shared=False)(send)
    shop.conf.update(timezone="UTC", beat_schedule={"nightly": {"task": "mysite.send", "schedule": crontab(hour=7)}})
    (message,) = run_checks(tags=[checks.TAG], include_deployment_checks=True)
    assert message.msg.startswith('timezone is "UTC", and TIME_ZONE is "Europe/Berlin": ')
