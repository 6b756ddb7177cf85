from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from celery import Celery

from tasktools.brokers import private
from tasktools.discovery.celery_app import Found
from tasktools.project import Project
from tasktools.valkey.server import Home
from tests.checks.conftest import Market

HINT = 'app.config_from_object("django.conf:settings", namespace="CELERY")'


@pytest.fixture
def own(market: Market, project: Project, settings: Any) -> Market:
    """The app is one of the project's own, and the settings have nothing for Celery but its time zone."""
    market.write("bazaar/celery.py", "")
    project.found = Found(app=market.app)
    for name in ("TRACK_STARTED", "ROUTES"):
        delattr(settings, f"CELERY_TASK_{name}")
    del settings.CELERY_RESULT_EXTENDED
    return market


def test_W053__fires_for_an_app_without_config_from_object(own: Market, settings: Any) -> None:
    assert own.found() == []
    settings.CELERY_TASK_TRACK_STARTED = True
    sentence = (
        "CELERY_TASK_TRACK_STARTED is set, and nothing reads it: "
        "the Celery app bazaar.celery:app has no config_from_object."
    )
    assert own.found() == [("tasktools.W053", sentence, HINT)]


@pytest.mark.parametrize("count", [2, 3])
def test_W053__names_one_of_several(own: Market, settings: Any, count: int) -> None:
    for name in ("TRACK_STARTED", "ACKS_LATE", "IGNORE_RESULT")[:count]:
        setattr(settings, f"CELERY_TASK_{name}", True)
    ((_, sentence, _),) = own.found()
    assert sentence == (
        f"CELERY_TASK_ACKS_LATE and {count - 1} more are set, and nothing reads them: "
        "the Celery app bazaar.celery:app has no config_from_object."
    )


def test_W053__fires_for_a_broker_in_whose_place_is_the_private_one(own: Market, settings: Any, tmp_path: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://:secret@elsewhere"
    private.use(own.app.conf, Home(folder=tmp_path, linger=1))
    ((check_id, sentence, _),) = own.found()
    assert (check_id, sentence.partition(",")[0]) == ("tasktools.W053", "CELERY_BROKER_URL is set")
    del settings.CELERY_BROKER_URL
    own.app.conf.task_time_limit, settings.CELERY_TASK_TIME_LIMIT = 20, 30
    assert own.found() == []


def test_W053__is_silent_for_a_broker_of_the_app_s_own(own: Market, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://elsewhere"
    assert own.app.conf.broker_url == "memory://"
    assert own.found() == []


@pytest.mark.parametrize(
    ("namespace", "why"),
    [
        ("CLOUD", 'reads the namespace "CLOUD", in which there is no setting'),
        ("celery", 'reads the namespace "celery", in which there is no setting'),
        (None, "reads the settings without a namespace"),
    ],
)
def test_W053__fires_for_a_namespace_that_the_settings_do_not_use(
    own: Market, settings: Any, namespace: str | None, why: str
) -> None:
    settings.CELERY_TASK_TRACK_STARTED = True
    own.app.config_from_object("django.conf:settings", namespace=namespace)
    own.app.conf.broker_url = "memory://"
    sentence = f"CELERY_TASK_TRACK_STARTED is set, and nothing reads it: the Celery app bazaar.celery:app {why}."
    assert own.found() == [("tasktools.W053", sentence, HINT)]


def test_W053__is_silent_for_a_namespace_that_the_settings_use(own: Market, settings: Any) -> None:
    settings.CELERY_TASK_TRACK_STARTED = True
    settings.CLOUD_TASK_ACKS_LATE = True
    own.app.config_from_object("django.conf:settings", namespace="CLOUD")
    own.app.conf.broker_url = "memory://"
    assert own.found() == []


def test_W053__is_silent_for_an_app_that_changes_what_it_has_read(own: Market, settings: Any) -> None:
    settings.CELERY_TASK_TRACK_STARTED = True
    own.app.config_from_object("django.conf:settings", namespace="CELERY")
    own.app.conf.broker_url = "memory://"
    own.app.conf.task_track_started = False
    assert own.found() == []


def test_W053__is_silent_for_an_app_with_a_configuration_of_its_own(own: Market, settings: Any) -> None:
    settings.CELERY_TASK_TRACK_STARTED = True
    source: Any = ModuleType("celeryconfig")
    source.broker_url = "memory://"
    own.app.config_from_object(source)
    assert own.found() == []


@pytest.mark.parametrize(
    ("name", "value"), [("TASK_TIME_LIMIT", 30), ("TASK_TRACK_STARTED", False), ("ENABLE_UTC", False), ("NONE", 1)]
)
def test_W053__is_silent_for_values_that_nobody_misses(own: Market, settings: Any, name: str, value: Any) -> None:
    own.app.conf.task_time_limit = 20
    setattr(settings, f"CELERY_{name}", value)
    assert own.found() == []


def test_W053__is_silent_for_values_that_the_app_has_from_elsewhere(own: Market, settings: Any) -> None:
    settings.CELERY_TASK_TIME_LIMIT = own.app.conf.task_time_limit = 20
    assert own.found() == []


def test_W053__is_silent_for_an_app_that_no_module_holds(own: Market, settings: Any, project: Project) -> None:
    settings.CELERY_TASK_TRACK_STARTED = True
    with Celery("own", broker="memory://", set_as_current=False) as app:
        project.found = Found(app=app)
        assert own.found() == []


@pytest.mark.parametrize(("reads", "expected"), [(True, []), (False, ["tasktools.W053"])])
def test_W053__is_silent_where_another_app_reads_the_settings(
    own: Market, settings: Any, reads: bool, expected: list[str]
) -> None:
    settings.CELERY_TASK_TRACK_STARTED = True
    other: Any = own.write("bazaar/other.py", "")
    with Celery("other", broker="memory://", set_as_current=False) as other.app:
        if reads:
            other.app.config_from_object("django.conf:settings", namespace="CELERY")
        assert [each[0] for each in own.found()] == expected


def test_W053__is_silent_for_the_ready_made_app(own: Market, settings: Any, project: Project) -> None:
    settings.CELERY_TASK_TRACK_STARTED = True
    project.found = Found(app=own.app, ready_made=True)
    assert own.found() == []
