from __future__ import annotations

from pathlib import Path
from typing import Any

import celery
import pytest
from django.core.checks import Error, run_checks

from tasktools import checks, conf, startup
from tasktools.brokers import private
from tasktools.discovery.celery_app import Found
from tasktools.project import Project
from tasktools.valkey.server import Home
from tests.checks.test_W040 import FATE


def add() -> None: ...


def of_names() -> list[Any]:
    """Return the messages of the checks, but for those of the URL that is named."""
    return [
        each
        for each in run_checks(tags=[checks.TAG])
        if each.id not in ("tasktools.W070", "tasktools.W073", "tasktools.W078")
    ]


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("CELERY_ALWAYS_EAGER", "CELERY_TASK_ALWAYS_EAGER", True),
        ("CELERYBEAT_SCHEDULE", "CELERY_BEAT_SCHEDULE", {"nightly": {"task": "mysite.add", "schedule": 10}}),
    ],
)
def test_E040__fires_for_eager_mode_and_for_a_schedule(
    mysite: Any, settings: Any, old: str, new: str, value: Any
) -> None:
    mysite.task(name="mysite.add", shared=False)(add)
    settings.DEBUG = True
    setattr(settings, old, value)
    assert run_checks(tags=[checks.TAG]) == [
        Error(f"{old} is an old name of {new}: {FATE}.", hint=f"rename it to {new}", id="tasktools.E040")
    ]


BROKER = Error(
    f"BROKER_URL is an old name of CELERY_BROKER_URL: {FATE}.",
    hint="rename it to CELERY_BROKER_URL",
    id="tasktools.E040",
)


@pytest.mark.parametrize("url", ["redis://localhost/1", "sqs://", "redis+socket:///tmp/redis.sock"])
def test_E040__fires_for_a_broker(mysite: Any, settings: Any, url: str) -> None:
    del settings.CELERY_BROKER_URL
    settings.BROKER_URL = url
    assert of_names() == [BROKER]


@pytest.mark.skipif(celery.VERSION >= (5, 7), reason="Celery reads BROKER_URL")
@pytest.mark.parametrize("debug", [True, False])
def test_E040__fires_for_a_broker_whatever_is_used_in_its_place(
    mysite: Any, settings: Any, project: Project, tmp_path: Path, debug: bool
) -> None:
    del settings.CELERY_BROKER_URL
    settings.BROKER_URL = "redis://localhost/1"
    if debug:
        private.use(mysite.conf, Home(folder=tmp_path, linger=1))
    else:
        private.refuse(mysite.conf, private.unset_error())
    assert run_checks(tags=[checks.TAG]) == [BROKER]


@pytest.mark.parametrize("url", ["mqtt://localhost", "localhost:5672", "", None, ["redis://localhost/1"]])
def test_E040__is_silent_about_a_broker_of_another_kind(mysite: Any, settings: Any, url: Any) -> None:
    del settings.CELERY_BROKER_URL
    mysite.conf.task_always_eager = settings.DEBUG = True
    settings.BROKER_URL = url
    assert of_names() == []
    assert not conf.has_old_broker()
    assert conf.broker_slip() == ""


def test_E040__is_silent_where_the_environment_names_the_broker(
    mysite: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del settings.CELERY_BROKER_URL
    settings.BROKER_URL = "redis://localhost/1"
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://localhost/2")
    assert of_names() == []


@pytest.mark.parametrize(("old", "new"), [(4, 8), (None, 8), (4, None)])
def test_E040__fires_where_both_names_disagree(mysite: Any, settings: Any, old: Any, new: Any) -> None:
    settings.CELERYD_CONCURRENCY, settings.CELERY_WORKER_CONCURRENCY = old, new
    assert run_checks(tags=[checks.TAG]) == [
        Error(
            f"CELERYD_CONCURRENCY is {old}, and CELERY_WORKER_CONCURRENCY, its new name, is {new}: Celery uses the second.",
            hint="remove CELERYD_CONCURRENCY",
            id="tasktools.E040",
        )
    ]
    assert mysite.conf.worker_concurrency == new


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        ("CELERY_RESULT_ENGINE_OPTIONS", "CELERY_DATABASE_ENGINE_OPTIONS", ({"password": "pw"}, {"password": 123456})),
        ("CELERY_RESULT_DBURI", "CELERY_DATABASE_URL", ("db+x://me:pw@host/a", "db+x://me:other@host/a")),
    ],
)
def test_E040__shows_no_value_that_may_hold_a_password(
    mysite: Any, settings: Any, old: str, new: str, values: tuple[Any, Any]
) -> None:
    setattr(settings, old, values[0])
    setattr(settings, new, values[1])
    (message,) = (each for each in run_checks(tags=[checks.TAG]) if each.id == "tasktools.E040")
    assert message.msg == f"{old} and {new}, its new name, have different values: Celery uses the second."


@pytest.mark.parametrize(("old", "new"), [(object(), 8), (8, object())])
def test_E040__shows_no_value_beside_one_that_is_not_plain(mysite: Any, settings: Any, old: Any, new: Any) -> None:
    settings.CELERYD_CONCURRENCY, settings.CELERY_WORKER_CONCURRENCY = old, new
    (message,) = (each for each in run_checks(tags=[checks.TAG]) if each.id == "tasktools.E040")
    names = "CELERYD_CONCURRENCY and CELERY_WORKER_CONCURRENCY, its new name,"
    assert message.msg == f"{names} have different values: Celery uses the second."


def test_E040__names_what_code_has_set(mysite: Any, settings: Any) -> None:
    settings.CELERYD_CONCURRENCY, mysite.conf.worker_concurrency = 4, 8
    (message,) = run_checks(tags=[checks.TAG])
    assert (message.id, mysite.conf.worker_concurrency) == ("tasktools.E040", 8)


def test_E040__leaves_the_broker_of_an_app_with_other_settings_to_W001(brokerless: Any, settings: Any) -> None:
    settings.DEBUG, settings.BROKER_URL = False, "redis://localhost/1"
    startup.choose_broker(Found(app=brokerless, ready_made=True))
    (message,) = run_checks(tags=[checks.TAG])
    assert (message.id, message.msg) == ("tasktools.W001", "No broker is configured: BROKER_URL is no setting.")


@pytest.mark.parametrize("url", ["", None])
def test_E040__leaves_a_broker_that_is_set_to_nothing_to_W001(mysite: Any, settings: Any, url: Any) -> None:
    """Nobody renames BROKER_URL then: there is a new name already."""
    settings.CELERY_BROKER_URL, settings.BROKER_URL = url, "redis://localhost/1"
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W001"]
